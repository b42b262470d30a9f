"""The README.md of a checkpoint."""

from pathlib import Path

import pytest
import yaml
from huggingface_hub import ModelCard
from omegaconf import OmegaConf

from sentence_order.config.cli import compose
from sentence_order.config.schema import TrainConfig
from sentence_order.model.freezing import BlockReport
from sentence_order.training.model_card import ModelCardContext, write_card

BLOCKS = [BlockReport("embeddings", 1000, None), BlockReport("layer_0", 200, 0.5), BlockReport("heads", 30, 0.0)]
METRICS = {
    "accuracy": {"value": 0.51, "low": 0.41, "high": 0.61},
    "pmr": {"value": 0.25, "low": None, "high": None},
    "tau": {"value": 0.71666, "low": 0.7, "high": 0.75},
}


def card_of(folder: Path, *overrides: str, revision: str | None = "abc123", **results: object) -> str:
    typed = ["data=text", "data.train=my file.txt", *overrides]
    context = ModelCardContext(compose("train", typed), BLOCKS, {"train": "7 documents"}, typed, None, revision)
    write_card(folder, context, 1234, results)
    return (folder / "README.md").read_text(encoding="utf-8")


def test_card_tells_results_data_and_command(tmp_path: Path) -> None:
    found = {"documents": 2000, **METRICS}
    card = card_of(tmp_path, validation=found, test=found)
    row = "2,000 | 0.510 (0.410 to 0.610) | 0.250 | 0.717 (0.700 to 0.750) |"
    assert f"| validation | {row}" in card
    assert f"| test | {row}" in card
    assert "- train: 7 documents" in card
    assert "1,234 steps" in card
    assert "revision abc123" in card
    assert "python -m sentence_order.train data=text 'data.train=my file.txt'\n" in card
    assert "Trained: layer_0, heads. Frozen: embeddings." in card
    assert "sentence_order, a program under the Apache-2.0 licence" in card


def test_card_has_a_row_for_each_group(tmp_path: Path) -> None:
    by_group = [{"group": name, "documents": 10, **METRICS} for name in ("known plots", "a|b")]
    card = card_of(tmp_path, test={"documents": 20, **METRICS, "by_group": by_group})
    for name in ("known plots", "a&#124;b"):
        assert f"| test, {name} | 10 | 0.510 (0.410 to 0.610) | 0.250 | 0.717 (0.700 to 0.750) |\n" in card


def test_header_is_read_by_the_hub(tmp_path: Path) -> None:
    found = {"documents": 20, **METRICS}
    card_of(tmp_path, validation=found, test=found)
    loaded = ModelCard.load(tmp_path / "README.md")
    assert [result.dataset_split for result in loaded.data.eval_results] == ["validation"] * 3 + ["test"] * 3
    loaded.save(tmp_path / "again.md")
    assert ModelCard.load(tmp_path / "again.md").data.to_dict() == loaded.data.to_dict()

    card_of(tmp_path, "encoder.name=someone/their-encoder", test=found)
    data = ModelCard.load(tmp_path / "README.md").data
    assert (data.library_name, data.base_model) == ("sentence_order", "someone/their-encoder")
    assert {result.metric_type: result.metric_value for result in data.eval_results} == {
        "accuracy": 0.51,
        "pmr": 0.25,
        "tau": 0.7167,
    }
    assert {result.dataset_name for result in data.eval_results} == {"my file.txt, test"}


def test_card_names_each_file_of_a_list(tmp_path: Path) -> None:
    typed = ["data=text", f"data.train=[{tmp_path}/a.txt,b.txt]"]
    context = ModelCardContext(compose("train", typed), BLOCKS, {}, typed, None, None)
    write_card(tmp_path, context, 1, {"test": {"documents": 20, **METRICS}})
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert str(tmp_path) not in card
    assert "'data.train=[a.txt,b.txt]'" in card
    assert {result.dataset_name for result in ModelCard.load(tmp_path / "README.md").data.eval_results} == {
        "a.txt, b.txt, test"
    }


def test_card_shows_names_instead_of_paths(tmp_path: Path) -> None:
    (tmp_path / "encoder").mkdir()
    typed = [
        *(f"data.{split}='{tmp_path}/our \\'{split}\\'.txt'" for split in ("train", "validation", "test")),
        *("cache.dir='~/caches/here'", f"output_dir={tmp_path}/run", "init_from=${oc.env:HOME}/runs/first"),
        f"encoder.name={tmp_path}/encoder",
    ]
    card = card_of(tmp_path, *typed, test={"documents": 20, **METRICS})
    assert str(tmp_path) not in card
    assert "HOME" not in card
    assert "/" not in card.partition("## Training\n")[2]
    assert "# Sentence orderer based on encoder\n" in card
    assert """cache.dir=here output_dir=run init_from=first encoder.name=encoder\n""" in card


@pytest.mark.parametrize("encoder", ["tiny", "./my/encoder", "/home/me"])
def test_only_a_hub_id_is_named_as_base_model(tmp_path: Path, encoder: str) -> None:
    card_of(tmp_path, f"encoder.name={encoder}")
    assert ModelCard.load(tmp_path / "README.md").data.base_model is None


def test_card_of_a_checkpoint_without_results(tmp_path: Path) -> None:
    card = card_of(tmp_path, revision=None)
    assert "not been evaluated" in card
    assert "revision" not in card
    assert ModelCard.load(tmp_path / "README.md").data.eval_results is None


def test_whole_configuration_can_be_read_back(tmp_path: Path) -> None:
    card = card_of(tmp_path, "optim.lr=3e-5")
    text = card.split("```yaml\n")[1].split("```")[0]
    config = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(TrainConfig), yaml.safe_load(text)))
    expected = compose("train", ["data=text", "data.train=my file.txt", "optim.lr=3e-5"])
    expected.output_dir = config.output_dir  # named by the time
    assert config == expected
