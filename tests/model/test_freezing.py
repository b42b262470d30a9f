"""Which blocks a freeze setting names, and from which epoch on."""

import pytest

from sentence_order.config.schema import FreezeConfig
from sentence_order.errors import UserError
from sentence_order.model.configuration import SentenceOrdererConfig
from sentence_order.model.freezing import Phase, check_separable, freeze_phases, frozen_blocks, report_blocks
from sentence_order.model.modeling import SentenceOrdererModel
from tests.families import every_recipe, tiny_encoder


@pytest.mark.parametrize(
    ("layers", "blocks"),
    [
        (0, set()),
        (4, {1, 2, 3, 4}),
        (-2, {1, 2, 3, 4}),
        (-6, set()),
        (6, {1, 2, 3, 4, 5, 6}),
        ("half", {1, 2, 3}),
        ("all", {1, 2, 3, 4, 5, 6}),
        ("2-4", {3, 4, 5}),
        ("0-0", {1}),
        ([0, 5], {1, 6}),
        ([], set()),
    ],
)
def test_layers_setting_names_blocks(layers: object, blocks: set[int]) -> None:
    assert frozen_blocks(False, layers, 6) == blocks
    assert frozen_blocks(True, layers, 6) == blocks | {0}


@pytest.mark.parametrize("layers", [7, -7, -99, "4-2", "2-6", "upper", [6], [-1], 1.5, True, ["1"], None])
def test_layers_that_do_not_exist_are_the_users_mistake(layers: object) -> None:
    with pytest.raises(UserError, match=r"freeze\.layers"):
        frozen_blocks(False, layers, 6)


def test_a_depth_may_count_from_the_top() -> None:
    (phase,) = freeze_phases(FreezeConfig(depth=-2), 6)
    assert phase.blocks == {0, 1, 2, 3, 4}
    first, second = freeze_phases(FreezeConfig(schedule=["0:all", "1:-5"]), 6)
    assert (first.blocks, second.blocks) == ({*range(7)}, {0, 1})
    for depth in (-6, -99):
        with pytest.raises(UserError, match=rf"freeze\.depth: {depth}"):
            freeze_phases(FreezeConfig(depth=depth), 6)


@every_recipe
def test_report_counts_every_parameter_once(tiny_model) -> None:
    rows = report_blocks(tiny_model, [Phase(0.0, frozenset({0, 1, 2})), Phase(1.5, frozenset({0, 1}))])
    assert sum(row.parameters for row in rows) == sum(p.numel() for p in tiny_model.parameters())
    assert [row.name for row in rows if row.trained_from is None] == ["embeddings", "layer_0"]
    assert [row.name for row in rows if row.trained_from == 1.5] == ["layer_1"]
    assert rows[-1].name == "heads"
    assert rows[-1].trained_from == 0


@pytest.mark.parametrize(
    ("depth", "blocks"),
    [("none", set()), ("embeddings", {0}), (2, {0, 1, 2}), ("half", {0, 1, 2, 3}), ("all", set(range(7)))],
)
def test_depth_names_the_lowest_blocks(depth: object, blocks: set[int]) -> None:
    assert freeze_phases(FreezeConfig(depth=depth), 6) == [Phase(0.0, frozenset(blocks))]


@pytest.mark.parametrize("depth", [0, 7, -6, "upper", "2-4", [0], True, 1.5])
def test_depths_that_do_not_exist_are_the_users_mistake(depth: object) -> None:
    with pytest.raises(UserError, match=r"freeze\.depth"):
        freeze_phases(FreezeConfig(depth=depth), 6)


def test_schedule_unfreezes_from_the_top() -> None:
    phases = freeze_phases(FreezeConfig(schedule=["0:all", "0.5:2", "1:embeddings", "1.25:none"]), 3)
    assert phases == [
        Phase(0.0, frozenset({0, 1, 2, 3})),
        Phase(0.5, frozenset({0, 1, 2})),
        Phase(1.0, frozenset({0})),
        Phase(1.25, frozenset()),
    ]


@pytest.mark.parametrize(
    ("schedule", "entry"),
    [
        (["0.5:all"], "0.5:all"),
        (["0:half", "1:all"], "1:all"),
        (["0:all", "1:half", "1:none"], "1:none"),
        (["0:all", "half"], "half"),
        (["0:all", "1:9"], "1:9"),
    ],
    ids=["not from the start", "freezes again", "epochs not increasing", "no epoch", "no such layer"],
)
def test_mistakes_in_a_schedule_name_the_entry(schedule: list[str], entry: str) -> None:
    with pytest.raises(UserError, match=rf"freeze\.schedule: .*{entry}"):
        freeze_phases(FreezeConfig(schedule=schedule), 6)


ALBERT = "the layers of an encoder of type 'albert'"


@pytest.mark.parametrize(
    ("name", "settings", "why", "accepted"),
    [
        ("albert", {}, f"{ALBERT} share their weights", ["none", "embeddings", "all"]),
        ("albert,two groups", {}, f"{ALBERT} share their weights", ["none", "embeddings", "all"]),
        # As a whole, in which there is no list of layers.
        ("albert", {"is_decoder": True}, f"{ALBERT} cannot be told apart", ["none", "all"]),
    ],
)
def test_layers_that_are_one_are_frozen_together(
    name: str, settings: dict[str, bool], why: str, accepted: list[str]
) -> None:
    model = SentenceOrdererModel(SentenceOrdererConfig(encoder={**tiny_encoder(name), **settings}))

    def check(freeze: FreezeConfig, layer_decay: float = 1.0) -> None:
        check_separable(model, freeze_phases(freeze, 4), layer_decay)

    for freeze in (FreezeConfig(schedule=["0:all", "1:none"]), *(FreezeConfig(depth=depth) for depth in accepted)):
        check(freeze)
    parts = [FreezeConfig(depth=depth) for depth in (1, "half", "embeddings") if depth not in accepted]
    for freeze in (FreezeConfig(layers=[3]), FreezeConfig(schedule=["0:all", "1:half"]), *parts):
        with pytest.raises(UserError, match=rf"^freeze: {why}, so .* accepted are {', '.join(accepted[:-1])} and all$"):
            check(freeze)
    with pytest.raises(UserError, match=rf"^optim\.layer_decay: {why}, and cannot .*$"):
        check(FreezeConfig(), 0.9)
