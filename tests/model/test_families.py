"""Every family of encoders is blind to the order of the sentences, and equals its library on each of them."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModel
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from benchmarks.families import draw_weights
from sentence_order.errors import UserError
from sentence_order.model.checkpoint import load_model
from sentence_order.model.configuration import SentenceOrdererConfig
from sentence_order.model.encoder import SINCE
from sentence_order.model.families import FAMILIES, WHOLE
from sentence_order.model.independence import check_independence
from sentence_order.model.modeling import SentenceOrdererModel
from sentence_order.model.segments import Layout
from sentence_order.model.tiny import tiny_tokenizer
from tests.deterministic import CudaDeterminism
from tests.families import OTHERS, SETTINGS, tiny_encoder

SENTENCES = [torch.randint(5, 99, (length,), generator=torch.Generator().manual_seed(length)) for length in (21, 13, 5)]
WHOLES = [name for name in SETTINGS if name not in FAMILIES and not name.startswith("deberta-v2")]
LAYER_BY_LAYER = [name for name in SETTINGS if name not in WHOLES]


def family_of(name: str) -> str:
    """The `model_type`; skips the test if this release of transformers does not have it."""
    kind = name.split(",")[0]
    if kind not in CONFIG_MAPPING:
        pytest.skip(f"transformers has '{kind}' from {SINCE[kind]} on")
    return kind


def make(name: str, **settings: Any) -> SentenceOrdererModel:
    family_of(name)
    torch.manual_seed(0)
    settings = {"joint_from": 0 if name in LAYER_BY_LAYER else 4, **settings}
    model = SentenceOrdererModel(SentenceOrdererConfig(encoder=tiny_encoder(name), **settings))
    draw_weights(model.encoder)
    return model.eval()


@torch.no_grad()
def vectors(model: SentenceOrdererModel, order: list[int]) -> torch.Tensor:
    lengths = torch.tensor([[len(SENTENCES[i]) for i in order]])
    return model.sentence_vectors(torch.cat([SENTENCES[i] for i in order])[None], lengths)[0]


def test_every_family_is_tested() -> None:
    assert {name.split(",")[0] for name in LAYER_BY_LAYER} == FAMILIES.keys()
    assert all(WHOLE is FAMILIES.get(name, WHOLE) for name in WHOLES)


@pytest.mark.parametrize(
    ("name", "joint"), [*((name, "documents") for name in SETTINGS), *((name, "pairs") for name in LAYER_BY_LAYER)]
)
def test_vectors_do_not_depend_on_the_order_of_the_sentences(name: str, joint: str) -> None:
    model, order = make(name, joint=joint), [2, 0, 1]
    given, reordered = vectors(model, [0, 1, 2]), vectors(model, order)
    assert (given[order] - reordered).abs().max() < 2e-6 * given.abs().max()
    check_independence(model, name)


@torch.no_grad()
@pytest.mark.parametrize("name", SETTINGS)
def test_states_of_a_single_sentence_are_those_of_the_library(name: str) -> None:
    model = make(name, joint_from=4, set_layers=0)
    library = AutoModel.from_config(AutoConfig.for_model(family_of(name), **SETTINGS[name]), dtype=torch.float32)
    library = library.get_encoder() if getattr(library, "decoder", None) is not None else library
    problems = library.eval().load_state_dict(model.encoder.state_dict(), strict=False)
    assert all("pooler" in missing for missing in problems.missing_keys)

    lengths = torch.tensor([[len(sentence) for sentence in SENTENCES]])
    ours = model._run_stages(torch.cat(SENTENCES), Layout(lengths), 0, 5).split(lengths[0].tolist())
    for sentence, states in zip(SENTENCES, ours, strict=True):
        mask = torch.ones(1, len(sentence), dtype=torch.long)
        theirs = library(input_ids=sentence[None], attention_mask=mask).last_hidden_state[0]
        torch.testing.assert_close(states, theirs, atol=1e-5 * float(theirs.abs().max()), rtol=1e-5)


@pytest.mark.parametrize("name", SETTINGS)
def test_every_weight_is_in_one_block(name: str) -> None:
    model = make(name)
    weights = [parameter for block in model.blocks for module in block for parameter in module.parameters()]
    assert len(model.blocks) == 5
    assert len(weights) == len(set(weights))
    assert set(weights) == set(model.encoder.parameters())


@pytest.mark.parametrize("name", LAYER_BY_LAYER)
def test_joint_layers_read_across_sentences(name: str) -> None:
    """Of those with windows, the third layer reads everything."""
    model = make(name, set_layers=0)
    lengths = torch.tensor([[len(sentence) for sentence in SENTENCES]])
    alone = model.sentence_vectors(SENTENCES[0][None], lengths[:, :1])[0, 0]
    assert (vectors(model, [0, 1, 2])[0] - alone).abs().max() > 1e-3


@pytest.mark.parametrize("name", ["modernbert", "deberta-v2", "mpnet", "eurobert"])
def test_an_order_that_leaks_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it would if positions counted through the document."""
    model, order = make(name), [2, 0, 1]
    monkeypatch.setattr(model, "_layout", lambda lengths, device: Layout(lengths, device, count_through=True))
    assert (vectors(model, [0, 1, 2])[order] - vectors(model, order)).abs().max() > 1e-4
    with pytest.raises(UserError, match=r"^x cannot be used: its output depends on the order .* by \d\.\de-0\d of"):
        check_independence(model, "x")


@pytest.mark.parametrize("name", [*OTHERS, "mpnet"])
def test_gradients_have_a_deterministic_form_on_cuda(name: str) -> None:
    model = make(name)
    lengths = torch.tensor([[len(sentence) for sentence in SENTENCES]])
    with CudaDeterminism():
        model.train()(torch.cat(SENTENCES)[None], lengths, torch.tensor([[2, 0, 1]])).loss.backward()


@pytest.mark.parametrize("name", SETTINGS)
def test_a_checkpoint_of_every_family_loads(name: str, tmp_path: Path) -> None:
    """By its own names, and not by those that a library renames in checkpoints of its own."""
    model = make(name)
    model.tokenizer = tiny_tokenizer(["a b c"], 50)
    model.save_pretrained(tmp_path)
    loaded = load_model(tmp_path).state_dict()
    assert loaded.keys() == model.state_dict().keys()
    assert all(torch.equal(loaded[weight], value) for weight, value in model.state_dict().items())
