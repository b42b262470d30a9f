"""Linear layers that oneDNN computes equal PyTorch's own."""

from pathlib import Path

import pytest
import torch
from torch import nn

from sentence_order.model.linear import Linear, onednn_available, use_onednn
from sentence_order.model.modeling import SentenceOrdererModel

pytestmark = pytest.mark.skipif(not onednn_available(), reason="this build of PyTorch has no oneDNN for this processor")


def pair(width: int = 24, out: int = 40, bias: bool = True) -> tuple[nn.Linear, nn.Linear]:
    """PyTorch's layer, and the same one as ours."""
    torch.manual_seed(0)
    layers = [nn.Linear(width, out, bias=bias) for _ in range(2)]
    layers[1].load_state_dict(layers[0].state_dict())
    use_onednn(layers[1])
    assert type(layers[1]) is Linear
    return layers[0], layers[1]


@pytest.mark.parametrize("shape", [(24,), (7, 24), (1, 7, 24), (2, 3, 5, 24), (0, 24)], ids=str)
@pytest.mark.parametrize("bias", [True, False])
def test_output_and_gradients_equal_pytorchs(shape: tuple[int, ...], bias: bool) -> None:
    results = []
    for layer in pair(bias=bias):
        x = torch.randn(shape, generator=torch.Generator().manual_seed(1)).requires_grad_()
        y = layer(x)
        y.square().sum().backward()
        results.append([y, x.grad, *(parameter.grad for parameter in layer.parameters())])
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_inputs_and_gradients_need_not_be_contiguous() -> None:
    gradients = []
    x = torch.randn(24, 9).T
    for layer in pair():
        layer(x).sum().backward()  # the gradient of a sum is one number, seen from everywhere
        gradients.append(layer.weight.grad)
    torch.testing.assert_close(gradients[1], gradients[0])


def test_frozen_weights_have_no_gradient() -> None:
    _, layer = pair()
    layer.weight.requires_grad_(False)
    x = torch.randn(3, 24)
    layer(x).sum().backward()
    assert layer.weight.grad is None
    assert layer.bias.grad.tolist() == [3.0] * 40
    layer.requires_grad_(False)
    assert not layer(x).requires_grad


def test_autocast_and_other_types_are_computed_by_pytorch() -> None:
    plain, ours = pair()
    x = torch.randn(3, 24)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert ours(x).dtype == torch.bfloat16
        assert torch.equal(ours(x), plain(x))
    assert torch.equal(ours.double()(x.double()), plain.double()(x.double()))


def test_a_loaded_model_uses_onednn_and_keeps_its_weights_names(make_model, tmp_path: Path) -> None:
    make_model().save_pretrained(tmp_path)
    onednn_available.cache_clear()
    model = SentenceOrdererModel.from_pretrained(tmp_path)
    kinds = {type(module) for name, module in model.named_modules() if name.endswith(("query", "dense", "left"))}
    assert kinds == {Linear}
    assert not any("onednn" in name.lower() for name in model.state_dict())
