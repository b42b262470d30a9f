"""Linear layers by every kernel equal PyTorch's own."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from sentence_order.model import linear
from sentence_order.model.linear import Linear, linear_layers, pad_rows, place_model, use_kernels
from sentence_order.runtime.device import Runtime
from sentence_order.runtime.kernels import BF16, DEFAULT, ONEDNN, Kernels, onednn_available
from tests.corpora import batch_of
from tests.families import RECIPES

pytestmark = pytest.mark.skipif(not onednn_available(), reason="this build of PyTorch has no oneDNN for this processor")


KERNELS = [Kernels(forward=ONEDNN), Kernels(input_gradient=ONEDNN), Kernels(ONEDNN, ONEDNN, ONEDNN)]


def pair(bias: bool = True, kernels: Kernels = KERNELS[-1]) -> tuple[nn.Linear, nn.Linear]:
    """PyTorch's layer, and the same one with these kernels."""
    torch.manual_seed(0)
    layers = [nn.Linear(24, 40, bias=bias) for _ in range(2)]
    layers[1].load_state_dict(layers[0].state_dict())
    use_kernels(layers[1], kernels)
    assert type(layers[1]) is Linear
    return layers[0], layers[1]


@pytest.mark.parametrize("shape", [(24,), (7, 24), (1, 7, 24), (2, 3, 5, 24), (33, 24), (0, 24)], ids=str)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kernels", [*KERNELS, BF16], ids=str)
def test_output_and_gradients_equal_pytorchs(shape: tuple[int, ...], bias: bool, kernels: Kernels) -> None:
    results = []
    for layer in pair(bias, kernels):
        x = torch.randn(shape, generator=torch.Generator().manual_seed(1)).requires_grad_()
        y = layer(x)
        y.square().sum().backward()
        results.append([y, x.grad, *(parameter.grad for parameter in layer.parameters())])
    for theirs, ours in zip(*results, strict=True):
        assert ours.dtype is torch.float32
        if kernels.bf16 == "all":  # which has eight bits
            assert (ours - theirs).norm() <= 0.01 * theirs.norm()
        else:
            torch.testing.assert_close(ours, theirs)


class SeenRows(TorchDispatchMode):
    """Notes the number of rows of each product of a layer of 24 inputs and 40 outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: set[int] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if "mm" in func.name() or "linear" in func.name():
            matrices = [x for x in args if isinstance(x, torch.Tensor) and x.dim() == 2]
            assert len(matrices) == 2, func
            self.rows |= {size for matrix in matrices for size in matrix.shape} - {24, 40}
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("kernels", [KERNELS[-1], BF16], ids=str)
def test_products_have_few_numbers_of_rows(kernels: Kernels) -> None:
    """oneDNN keeps what it compiles for each, and batches have any number of tokens."""
    _, layer = pair(kernels=kernels)
    with SeenRows() as seen:
        for rows in range(1, 2200):
            layer(torch.randn(rows, 24, requires_grad=True)).sum().backward()
    assert len(seen.rows) <= 70
    assert max(seen.rows) == 2304


def test_rows_are_rounded_up_for_onednn_alone() -> None:
    _, layer = pair(kernels=Kernels(input_gradient=ONEDNN))
    with torch.no_grad(), SeenRows() as seen:
        layer(torch.randn(7, 24))
    assert seen.rows == {7}


@given(rows=st.integers(1, 100_000))
def test_rows_of_zeros_are_few(rows: int) -> None:
    x = torch.arange(rows, dtype=torch.float32)[:, None]
    padded = pad_rows(x)
    assert torch.equal(padded[:rows], x)
    assert not padded[rows:].any()
    assert len(padded) - rows < max(16, rows / 16)


def test_bf16_rounds_inputs_and_results_alone() -> None:
    plain, ours = pair(kernels=BF16)
    x = torch.randn(7, 24)
    y = ours(x)
    assert y.dtype is torch.float32
    exact = x.bfloat16().double() @ plain.weight.bfloat16().double().T + plain.bias.bfloat16().double()
    assert torch.equal(y, y.bfloat16().float())
    torch.testing.assert_close(y.double(), exact, rtol=2**-8, atol=1e-6)  # the sum itself is not rounded to bf16
    assert not torch.equal(y, plain(x))


@pytest.mark.parametrize("rows", [7, 16])
@pytest.mark.parametrize("kernels", [KERNELS[-1], BF16], ids=str)
def test_outputs_may_be_changed_in_place(kernels: Kernels, rows: int) -> None:
    """As Longformer changes its queries."""
    _, layer = pair(kernels=kernels)
    x = torch.randn(rows, 24)
    layer(x).mul_(2).sum().backward()
    torch.testing.assert_close(layer.bias.grad, torch.full((40,), 2.0 * rows))


@pytest.mark.parametrize("rows", [7, 16])
def test_layers_share_what_they_save(rows: int) -> None:
    """In float32: the queries, keys and values of attention have one input."""
    x = torch.randn(rows, 24, requires_grad=True) * 1
    saved = [pair()[1](x) for _ in range(2)]
    functions = [y.grad_fn for y in saved]
    while any(function.name() != "_LinearBackward" for function in functions):
        functions = [f if f.name() == "_LinearBackward" else f.next_functions[0][0] for f in functions]
    assert {function.saved_tensors[0].data_ptr() for function in functions} == {x.data_ptr()}


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


def test_placed_models_use_the_chosen_kernels(make_model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linear, "choose_kernels", lambda shapes, auto_bf16: KERNELS[0])
    model = make_model()
    names = [*model.state_dict()]
    runtime = place_model(model, Runtime(torch.device("cpu")))
    kinds = {type(module) for name, module in model.named_modules() if name.endswith(("query", "dense", "left"))}
    assert kinds == {Linear}
    assert runtime.kernels == KERNELS[0]
    assert [*model.state_dict()] == names
    use_kernels(model, DEFAULT)
    assert not any(type(module) is Linear for module in model.modules())


@pytest.mark.parametrize("make_model", [*RECIPES, "qwen3"], indirect=True)
def test_matrices_of_every_encoder_are_those_of_linear_layers(make_model) -> None:
    """And so are multiplied by the chosen kernels."""
    model = make_model()
    use_kernels(model, KERNELS[0])
    layers = linear_layers(model.encoder)
    assert all(type(layer) is Linear and layer.kernels == KERNELS[0] for layer in layers)
    tables = {module.weight for module in model.encoder.modules() if isinstance(module, nn.Embedding)}
    matrices = {parameter for parameter in model.encoder.parameters() if parameter.ndim > 1}
    assert {layer.weight for layer in layers} == matrices - tables


def test_bf16_may_be_for_passes_that_record_gradients_alone() -> None:
    plain, ours = pair(kernels=Kernels(bf16="training"))
    x = torch.randn(7, 24)
    assert torch.equal(ours(x), pair(kernels=BF16)[1](x))
    with torch.no_grad():
        assert torch.equal(ours(x), plain(x))


def test_bf16_on_a_cpu_is_for_linear_layers_alone(make_model, stories) -> None:
    model = make_model()
    batch = batch_of(model, stories[:2])
    plain = model(batch["input_ids"], batch["lengths"])
    seen: set[torch.dtype] = set()
    for module in model.modules():
        module.register_forward_hook(lambda _, __, output: seen.add(getattr(output, "dtype", torch.float32)))
    runtime = place_model(model, Runtime(torch.device("cpu"), torch.bfloat16))
    with runtime.autocast():
        rounded = model(batch["input_ids"], batch["lengths"])
    assert runtime.precision is torch.bfloat16
    assert seen == {torch.float32}
    assert not torch.equal(rounded["logits"], plain["logits"])
    torch.testing.assert_close(rounded["logits"], plain["logits"], rtol=0.1, atol=0.05)
