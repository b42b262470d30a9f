"""The ordering model: any BERT-like encoder, set layers over sentence vectors, an antisymmetric pairwise head."""
