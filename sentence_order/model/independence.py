"""Checks that what a model computes for a document depends neither on the order in which its sentences are given nor on
the other documents of a batch.

Every family of encoders is run so that it does not. The check sees what a new release of a library, or an encoder that
is run as a whole, does all the same.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from sentence_order.errors import UserError, first_line
from sentence_order.model.modeling import SentenceOrdererModel
from sentence_order.runtime.device import out_of_memory

# Of the largest value of a sentence vector. Rounding changes 1e-6 of it, and an order that leaks 1e-4 and more.
MAX_CHANGE = 1e-5
MAX_TOKENS = 128  # longer than the windows of encoders that have such
MAX_TOKENS_OF_WHOLE = 1024  # more, since it is not known how many positions such an encoder has


def check_independence(model: SentenceOrdererModel, name: str) -> None:
    """Runs a document of three sentences in two orders, with and without another document beside it.

    Tokens are drawn at random, and not by PyTorch's global generator. A model whose positions count through the
    document is exempt. Raises UserError, which begins with `name`, if the sentence vectors change by more than rounding
    changes them, are not finite, or by `pooling=first` are the same for all sentences, or if the library fails.
    """
    if model.config.depends_on_input_order:
        return
    was_training = model.training
    try:
        _check(model.eval(), name)
    except Exception as error:
        if isinstance(error, UserError | AssertionError) or out_of_memory(error):
            raise
        # Of the library's own code, on a configuration or a length of sentences that it cannot run.
        most = model.config.max_sentence_tokens
        raise UserError(
            f"{name} cannot be used with sentences of up to {most} tokens: it fails with {first_line(error)}"
        ) from error
    finally:
        model.train(was_training)


@torch.no_grad()
def _check(model: SentenceOrdererModel, name: str) -> None:
    most = MAX_TOKENS if model.family.by_layer else MAX_TOKENS_OF_WHOLE
    longest, generator = min(model.config.max_sentence_tokens, most), torch.Generator().manual_seed(0)
    lengths = [longest // 2 + 1, longest * 3 // 4, min(5, longest), longest, 3]
    texts = [_draw_tokens(model, length, generator) for length in lengths]
    document, other, order = texts[:3], texts[3:], [2, 0, 1]

    together_SH, alone_SH = _vectors(model, [document, other]), _vectors(model, [[document[i] for i in order]])
    if not (together_SH.isfinite().all() and alone_SH.isfinite().all()):
        raise UserError(f"{name} cannot be used: its sentence vectors are NaN or infinite")
    if (change := _change(together_SH[order], alone_SH)) > MAX_CHANGE:
        by_order = _change(_vectors(model, [document])[order], alone_SH)
        what = "padding" if by_order <= MAX_CHANGE else "the order in which the sentences are given"
        raise UserError(
            f"{name} cannot be used: its output depends on {what}, by {change:.1e} of the largest value; by rounding "
            f"it would be {MAX_CHANGE / 10:.0e}"
        )
    if model.config.pooling == "first" and _change(alone_SH, alone_SH.roll(1, 0)) <= MAX_CHANGE:
        raise UserError(f"{name} cannot be used with model.pooling=first: all sentences get the same vector")


def _draw_tokens(model: SentenceOrdererModel, length: int, generator: torch.Generator) -> Tensor:
    """Tokens other than padding, which some encoders count positions by; the first one is always the same, as that of
    tokenizers is."""
    config = model.encoder.config
    token_L = torch.randint(config.vocab_size - 1, (length,), generator=generator)
    token_L[0] = 0
    pad = config.pad_token_id if type(config.pad_token_id) is int else -1
    return token_L + (token_L >= pad).long() if 0 <= pad < config.vocab_size else token_L


def _vectors(model: SentenceOrdererModel, documents: Sequence[Sequence[Tensor]]) -> Tensor:
    """The vectors of the first document's sentences, (S, H)."""
    pad = torch.nn.utils.rnn.pad_sequence
    input_ids_BL = pad([torch.cat([*document]) for document in documents], batch_first=True)
    lengths_BS = pad([torch.tensor([len(text) for text in document]) for document in documents], batch_first=True)
    vectors_BSH = model.sentence_vectors(input_ids_BL.to(model.device), lengths_BS.to(model.device))
    return vectors_BSH[0, : len(documents[0])]


def _change(one_SH: Tensor, other_SH: Tensor) -> float:
    """The largest difference, as a share of the largest value."""
    return float((one_SH - other_SH).abs().max() / one_SH.abs().max())
