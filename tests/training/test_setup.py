"""What a run starts from."""

import pytest

from sentence_order.config.cli import compose
from sentence_order.training.setup import set_up


@pytest.mark.parametrize(("frozen", "warned"), [("layers", True), ("depth", False)])
def test_layers_frozen_above_embeddings_that_train_are_warned_of(
    frozen: str, warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    set_up(compose("train", ["debug=smoke", "device=cpu", f"freeze.{frozen}=half"]))
    assert ("freeze.depth=half freezes both" in caplog.text) == warned
