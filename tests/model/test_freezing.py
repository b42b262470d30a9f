"""What a freeze setting names."""

import pytest

from sentence_order.errors import UserError
from sentence_order.model.freezing import frozen_blocks, report_blocks


@pytest.mark.parametrize(
    ("layers", "blocks"),
    [
        (0, set()),
        (4, {1, 2, 3, 4}),
        (6, {1, 2, 3, 4, 5, 6}),
        ("half", {1, 2, 3}),
        ("all", {1, 2, 3, 4, 5, 6}),
        ("2-4", {3, 4, 5}),
        ("0-0", {1}),
        ([0, 5], {1, 6}),
        ([], set()),
    ],
)
def test_settings(layers: object, blocks: set[int]) -> None:
    assert frozen_blocks(False, layers, 6) == blocks
    assert frozen_blocks(True, layers, 6) == blocks | {0}


@pytest.mark.parametrize("layers", [7, -1, "4-2", "2-6", "upper", [6], [-1], 1.5, True, ["1"], None])
def test_what_does_not_exist_is_the_users_mistake(layers: object) -> None:
    with pytest.raises(UserError, match=r"freeze\.layers"):
        frozen_blocks(False, layers, 6)


def test_report_counts_every_parameter_once(tiny_model) -> None:
    tiny_model.freeze({0, 1})
    rows = report_blocks(tiny_model)
    assert sum(row.parameters for row in rows) == sum(p.numel() for p in tiny_model.parameters())
    assert [row.name for row in rows if not row.trained] == ["embeddings", "layer_0"]


def test_nothing_left_to_train_is_the_users_mistake(tiny_model) -> None:
    tiny_model.requires_grad_(False)
    with pytest.raises(UserError, match="nothing is left to train"):
        report_blocks(tiny_model)
