"""How a run looks in TensorBoard: tags, the page of custom scalars, the table of hyper-parameters."""

from itertools import groupby

import pytest
from tensorboard.plugins.custom_scalar.layout_pb2 import Layout
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from sentence_order.config.cli import compose
from sentence_order.config.commands import SWEPT_VARIABLE
from sentence_order.training.tensorboard import HPARAMS_METRICS, make_hparams, make_layout, tensorboard_tag

BLOCKS = ["embeddings", *(f"layer_{number}" for number in range(12))]


@pytest.mark.parametrize(
    ("name", "tag"),
    [
        ("train/loss", "loss/train"),
        ("validation/loss", "loss/validation"),
        ("validation/tau", "metrics/tau"),
        ("validation/tau/known_plots", "metrics/tau/known_plots"),
        ("validation/pmr", "metrics/pmr"),
        ("validation/pmr/known_plots", "validation/pmr/known_plots"),
        ("validation/accuracy", "validation/accuracy"),
        ("train/lr/encoder", "train/lr/encoder"),
        ("test/loss", "test/loss"),
    ],
)
def test_names_of_the_log_have_their_tags(name: str, tag: str) -> None:
    assert tensorboard_tag(name) == tag


def test_the_page_opens_on_loss_and_metrics_of_validation() -> None:
    """TensorBoard opens the first two groups of its sorted tags."""
    splits = ("test", "train", "validation")
    names = [
        f"{split}/{name}" for split in splits for name in ("loss", "tau", "pmr", "accuracy", "first", "document_0")
    ]
    tags = sorted(tensorboard_tag(name) for name in [*names, "total/seconds_in_steps", "train/gradient_norm"])
    groups = {group: list(found) for group, found in groupby(tags, lambda tag: tag.split("/")[0])}
    assert list(groups)[:2] == ["loss", "metrics"]
    assert groups["loss"] == ["loss/train", "loss/validation"]
    assert groups["metrics"] == ["metrics/pmr", "metrics/tau"]


def test_train_and_validation_loss_share_a_chart_whose_title_tells_them_apart() -> None:
    layout = Layout.FromString(make_layout().value[0].tensor.string_val[0])
    assert [category.title for category in layout.category] == ["quality", "training"]
    chart = layout.category[0].chart[-1]
    assert chart.title == "loss per pair: ■ train, ◆ validation"
    assert [(s.value, s.lower, s.upper) for s in chart.margin.series] == [("loss/train",) * 3, ("loss/validation",) * 3]


def hparams_of(typed: list[str], frozen: int = 0) -> dict[str, float | str]:
    """The row of a run, in the order of its columns."""
    columns, row, _ = make_hparams(compose("train", typed), BLOCKS[:frozen], typed)
    contents = [HParamsPluginData.FromString(each.value[0].metadata.plugin_data.content) for each in (columns, row)]
    found = contents[1].session_start_info.hparams
    assert [info.name.tag for info in contents[0].experiment.metric_infos] == [*HPARAMS_METRICS]
    names = [info.name for info in contents[0].experiment.hparam_infos]
    return {name: found[name].number_value or found[name].string_value for name in names}


def test_the_table_of_hyperparameters_has_few_columns() -> None:
    """What is frozen, the seed, and what was typed, even if it is the default; never where the run is."""
    assert hparams_of([]) == {"frozen": "(none)", "seed": ""}
    typed = ["encoder=tiny", "model.dropout=0.1", "device=cpu", "freeze.depth=2", "seed=3", "output_dir=runs/a"]
    found = hparams_of(typed, frozen=3)
    assert found == {"frozen": "embeddings +  2", "seed": 3, "encoder.name": "tiny", "model.dropout": 0.1}
    assert hparams_of(["loss=pairwise_logistic"])["loss"] == "pairwise_logistic+2 neighbours"


SWEPT = [
    *(
        "optim.ema=0.0",
        "encoder.joint_from=1",
        "trainer.accumulate=2",
        "data.train=a.jsonl",
        "data=jsonl",
        "device=cpu",
    ),
    *("freeze.schedule=[0:all,1:none]", "encoder.position_ids=per_document", "experiment=naon", "trainer.max_steps=10"),
]
CHANGED = {"encoder.joint_from=1": "encoder.joint_from=all", "trainer.max_steps=10": "trainer.max_steps=null"}


def test_every_swept_key_is_a_column_of_one_type(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [text.split("=")[0] for text in SWEPT]
    monkeypatch.setenv(SWEPT_VARIABLE, " ".join(keys))
    rows = [hparams_of(SWEPT), hparams_of([CHANGED.get(text, text) for text in SWEPT])]
    for row in rows:
        assert {"frozen", "seed", *keys} <= row.keys()
        assert row["optim.ema"] == ""  # a number: the 0 of this helper
        assert (row["trainer.accumulate"], row["data.train"], row["experiment"]) == (2, "a.jsonl", "naon")
    assert [row["encoder.joint_from"] for row in rows] == ["      1", "all"]
    assert [row["trainer.max_steps"] for row in rows] == ["     10", "None"]


def test_tokens_of_a_batch_are_numbers_though_they_may_be_found() -> None:
    assert hparams_of(["trainer.batch_tokens=700"])["trainer.batch_tokens"] == 700


def test_what_is_frozen_sorts_by_depth() -> None:
    depths = ["none", "embeddings", "1", "2", "10", "all"]
    frozen = [
        hparams_of([f"freeze.depth={depth}"], [0, 1, 2, 3, 11, 13][k])["frozen"] for k, depth in enumerate(depths)
    ]
    assert frozen == sorted(frozen, key=str)
    assert len(set(frozen)) == len(depths)
