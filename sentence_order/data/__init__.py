"""From a corpus to padded batches: readers -> sources -> tokenization -> examples -> batching."""
