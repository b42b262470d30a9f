"""The tiny encoder's vocabulary is deterministic."""

from sentence_order.model.tiny import tiny_tokenizer


def test_vocabulary_holds_characters_then_frequent_words(stories) -> None:
    tokenizer = tiny_tokenizer(["Bob bakes bread.", "Bread for Bob!"], 40)
    vocabulary = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().__getitem__)
    assert vocabulary[:4] == ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    assert vocabulary[-4:] == ["bob", "bread", "bakes", "for"]
    assert tokenizer.convert_ids_to_tokens(tokenizer("Bob barked").input_ids) == [
        *("[CLS]", "bob", "b", "##a", "##r", "##k", "##e", "##d", "[SEP]")
    ]
    assert tokenizer("zzz").input_ids[1] == 1, "an unknown character"


def test_vocabulary_is_deterministic_and_within_its_size(stories) -> None:
    texts = [sentence for story in stories for sentence in story]
    first, second = tiny_tokenizer(texts, 500), tiny_tokenizer(texts, 500)
    assert first.get_vocab() == second.get_vocab()
    assert len(first) == 500
