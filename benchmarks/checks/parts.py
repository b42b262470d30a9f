"""Every head, loss and decoder on a device's tensors, against the same on the CPU."""

import copy
import math

import torch
from torch import Tensor

from benchmarks.checks.run import Report
from benchmarks.checks.setup import Setup
from sentence_order.config.commands import override
from sentence_order.config.components import DECODERS, LOSSES, readers_of
from sentence_order.data.batching import load_batches
from sentence_order.data.examples import Batch
from sentence_order.decoding import decode
from sentence_order.decoding.scores import MATRICES, Scores
from sentence_order.errors import first_line
from sentence_order.losses import count_pairs, weighted_loss
from sentence_order.model import heads
from sentence_order.model.linear import place_model
from sentence_order.model.modeling import SentenceOrdererModel
from sentence_order.runtime.device import Runtime, make_deterministic
from sentence_order.training.setup import set_up

# Models with every head, with joint layers and without, with sentences read in pairs; each with a loss that trains it.
MODELS = {
    "pairs": ["model.heads=[pairs,neighbours]", "encoder.joint_from=half"],
    "joint_pairs": ["model.heads=[pairs,neighbours]", "encoder.joint=pairs", "model.set_layers=0"],
    "scores": ["model.heads=[scores]", "loss=pairwise_logistic", "loss.neighbours=0", "encoder.joint_from=0"],
    "positions": ["model.heads=[positions]", "loss=assignment", "encoder.joint_from=all"],
    "pointer": ["model.heads=[pointer]", "loss=pointer", "decoder=pointer", "encoder.joint_from=all"],
    "relational_pointer": [
        *("model.heads=[relational_pointer]", "loss=pointer", "decoder=pointer"),
        *("encoder.joint=pairs", "encoder.joint_from=0"),
    ],
}


def check_parts(name: str, setup: Setup, report: Report) -> None:
    """The heads of a model, with all losses and decoders that read them, for short and for long documents.

    In fp32, by the deterministic algorithms that `debug=anomaly` asks for, losses, gradients and the objectives of
    decoded orders are those of the CPU; in bf16 they are finite. The pairs of `parts/pairs` are computed in parts, as
    those of long documents are.
    """
    if name == "pairs":
        heads.MAX_HIDDEN_UNITS = 2**14
    long = [override(f"data.{split}", str(setup.stories["long"])) for split in ("train", "validation", "test")]
    prepared = set_up(setup.compose(*MODELS[name], *long, "precision=fp32"))
    corpus, device = prepared.corpora["train"], prepared.runtime.device
    batch = next(load_batches(corpus, [range(len(corpus))], 0, 0))
    on_cpu = copy.deepcopy(prepared.model).to("cpu").train()

    make_deterministic()
    expected, scores_on_cpu = _compute_losses(on_cpu, batch, Runtime(torch.device("cpu")), report)
    found, scores = _compute_losses(prepared.model.train(), batch, prepared.runtime, report)
    torch.use_deterministic_algorithms(False)
    for what, values in found.items():
        close = all(abs(a - b) <= 1e-3 * (1 + abs(b)) for a, b in zip(values, expected[what], strict=True))
        report.expect(close, f"{what}: loss and gradient are {values}, on the CPU {expected[what]}")
    in_bf16 = place_model(prepared.model, Runtime(device, torch.bfloat16))
    for what, values in _compute_losses(prepared.model, batch, in_bf16, report)[0].items():
        report.expect(all(map(math.isfinite, values)), f"{what}: loss and gradient in bf16 are {values}")

    decoders = readers_of(set(on_cpu.config.heads), DECODERS)
    for decoder in decoders:
        on_both = (scores, device), (scores_on_cpu, torch.device("cpu"))
        objectives = [_decode(decoder, own_scores, batch, where, report) for own_scores, where in on_both]
        difference = float((objectives[0] - objectives[1]).abs().max())
        report.expect(difference <= 1e-3, f"decoder={decoder}: the objectives differ by {difference:.1e}, over 1e-3")
    names = {"heads": on_cpu.config.heads, "losses": readers_of(set(on_cpu.config.heads), LOSSES), "decoders": decoders}
    sizes = f"{corpus.sizes.min()} to {corpus.sizes.max()} sentences"
    report.note("; ".join([*(f"{what} {', '.join(own)}" for what, own in names.items()), sizes]))


def _compute_losses(
    model: SentenceOrdererModel, batch: Batch, runtime: Runtime, report: Report
) -> tuple[dict[str, tuple[float, float]], Scores]:
    """Value and gradient norm of the model's own loss, by all weights, and of every loss that reads its scores, by
    these; and the scores, without a graph, on their device."""
    inputs = {name: tensor.to(runtime.device) for name, tensor in batch.items()}
    gold = inputs["positions"], inputs["mask"]
    with runtime.autocast():
        scores = model(inputs["input_ids"], inputs["lengths"])
    matrices = {name: scores[name].detach().requires_grad_() for name in MATRICES if name in scores}
    weights = [weight for weight in model.parameters() if weight.requires_grad]

    losses = {"loss": (model.ordering_loss, scores, weights)}
    if scores.pointer is None:  # the only loss of a pointer is the model's own
        bare = Scores(**matrices)
        names = readers_of(set(model.config.heads), LOSSES)
        losses |= {f"loss.{name}": (weighted_loss({name: 1.0}), bare, [*matrices.values()]) for name in names}
    found = {}
    for name, (loss, own_scores, own_inputs) in losses.items():
        try:
            mean = loss(own_scores, *gold) / count_pairs(inputs["mask"])
            gradients = torch.autograd.grad(mean, own_inputs, retain_graph=True, allow_unused=True)
            norm = torch.nn.utils.get_total_norm([gradient for gradient in gradients if gradient is not None])
            found[name] = (mean.item(), norm.item())
        except RuntimeError as error:
            report.fault(f"{name} on {runtime.device}: {first_line(error)}")
    return found, Scores(**{name: matrix.detach() for name, matrix in matrices.items()}, pointer=scores.pointer)


def _decode(decoder: str, scores: Scores, batch: Batch, device: torch.device, report: Report) -> Tensor:
    """The objectives of the orders of a batch, which must be permutations."""
    mask_BS, text_rank_BS = batch["mask"].to(device), batch["text_rank"].to(device)
    order_BS, objective_B = decode(DECODERS[decoder].load(), scores, mask_BS, text_rank_BS, beam_width=8)
    whole = torch.equal(order_BS.cpu().sort(1).values, torch.arange(order_BS.shape[1]).expand_as(order_BS))
    report.expect(whole, f"decoder={decoder}: not a permutation")
    return objective_B.cpu()
