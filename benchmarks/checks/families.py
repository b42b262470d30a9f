"""Every family of encoders that is run layer by layer on a device, against the same on the CPU."""

import copy
import math

import torch
from torch import Tensor
from transformers import AutoConfig
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from benchmarks.checks.run import Report
from benchmarks.checks.setup import Setup
from benchmarks.families import draw_weights, make_settings
from sentence_order.errors import UserError
from sentence_order.model.configuration import SentenceOrdererConfig
from sentence_order.model.encoder import SINCE
from sentence_order.model.families import FAMILIES
from sentence_order.model.independence import check_independence
from sentence_order.model.linear import place_model
from sentence_order.model.modeling import SentenceOrdererModel
from sentence_order.runtime.device import Runtime, choose_runtime, make_deterministic

LENGTHS = torch.tensor([[21, 13, 5], [7, 30, 0]])  # also longer than windows and buckets


def check_families(setup: Setup, report: Report) -> None:
    """Tiny random encoders of every type.

    In fp32, by deterministic algorithms, loss and gradient are those of the CPU, and sentence vectors do not depend on
    the order of the sentences; in bf16 loss and gradient are finite.
    """
    config = setup.compose("precision=fp32")
    runtime = choose_runtime(config.device, config.precision)
    kinds = [kind for kind in FAMILIES if kind in CONFIG_MAPPING]
    generator = torch.Generator().manual_seed(0)
    batch = {"input_ids": torch.randint(5, 99, (2, 39), generator=generator), "lengths": LENGTHS}
    batch["positions"] = torch.tensor([[2, 0, 1], [1, 0, -1]])
    for kind in kinds:
        torch.manual_seed(0)
        encoder = AutoConfig.for_model(kind, **make_settings()[kind]).to_dict()
        model = SentenceOrdererModel(SentenceOrdererConfig(encoder=encoder, joint_from=1))
        draw_weights(model.encoder)
        expected = _step(copy.deepcopy(model), batch, Runtime(torch.device("cpu")))

        make_deterministic()
        place_model(model, runtime)
        found = _step(model, batch, runtime)
        torch.use_deterministic_algorithms(False)
        close = all(abs(a - b) <= 1e-3 * (1 + abs(b)) for a, b in zip(found, expected, strict=True))
        report.expect(close, f"{kind}: loss and gradient are {found}, on the CPU {expected}")
        try:
            check_independence(model, kind)
        except UserError as error:
            report.fault(str(error))
        in_bf16 = _step(model, batch, Runtime(runtime.device, torch.bfloat16))
        report.expect(all(map(math.isfinite, in_bf16)), f"{kind}: loss and gradient in bf16 are {in_bf16}")
        report.progress()
    missing = "".join(f"; {kind} needs transformers {since}" for kind, since in SINCE.items() if kind not in kinds)
    report.note(f"{', '.join(kinds)}: fp32 as on the CPU, bf16 finite{missing}")


def _step(model: SentenceOrdererModel, batch: dict[str, Tensor], runtime: Runtime) -> tuple[float, float]:
    """The loss, and the norm of its gradient."""
    model.zero_grad()
    with runtime.autocast():
        loss = model.eval()(**{name: tensor.to(runtime.device) for name, tensor in batch.items()}).loss
    loss.backward()
    gradients = [weight.grad for weight in model.parameters() if weight.grad is not None]
    return loss.item(), torch.nn.utils.get_total_norm(gradients).item()
