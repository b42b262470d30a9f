"""What Hydra would misunderstand or ignore is refused with what to type; what it could do is done."""

from pathlib import Path

import pytest

from sentence_order import load_config
from sentence_order.config.cli import compose
from sentence_order.config.words import read_words
from sentence_order.errors import UserError


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["trainer.epochs", "=", "3"], "no spaces around =: trainer.epochs=3"),
        (["trainer.epochs=", "3"], "no spaces around =: trainer.epochs=3"),
        (["trainer.epochs", "=3"], "no spaces around =: trainer.epochs=3"),
        (["freeze", "bottom_half"], "freeze: write freeze=bottom_half"),
        (["minilm"], "minilm: write encoder=minilm"),
        (["stories.jsonl"], "write data=jsonl data.train=stories.jsonl"),
        (["data.train="], "data.train: no value"),
        (["resume="], "resume: no value"),
        (["output_dir=''"], "output_dir: no value"),
        (["sweep=loss,decoder"], "sweep=loss,decoder: one sweep at a time"),
        (["-m", "sweep=[loss,decoder]"], "one sweep at a time"),
        (["sweep=frozen"], "unknown sweep 'frozen'; did you mean 'frozen_vs_unfrozen'?"),
        (["seed=0,1"], "seed=0,1: several values; give one, and call load_config once for each"),
        (["data.sentence_columns=a,b"], "several values; as a list: 'data.sentence_columns=[a,b]'"),
        (["optim.betas=0.9,0.95"], "several values; as a list: 'optim.betas=[0.9,0.95]'"),
        (["data.train=a,b.jsonl"], "or as a list: 'data.train=[a,b.jsonl]'"),
        (["data.folder=a,b"], "or as one: 'data.folder=\"a,b\"'"),
        (["-m", "seed=0,1", "--cfg", "job"], "-m: --cfg and --info show a single run"),
        (["--cfg", "jobs"], "argument --cfg/-c: invalid choice: 'jobs'"),
        (["data.train=a (1).jsonl"], "quote special characters: 'data.train=\"a (1).jsonl\"'"),
        (["freeze=half"], "did you mean 'bottom_half'? Available: bottom_half, "),
        (["freeze=half"], "freeze.depth=half"),
        (["freeze=6"], "freeze.depth=6"),
        (["freeze=-2"], "freeze.depth=-2"),
        (["freeze=true"], "did you mean 'encoder'?"),
        (["freeze=embeddings,layers"], "unknown freeze 'layers'."),
        (["debug=1"], "unknown debug '1'. Available: anomaly, "),
        (["encoder=null"], "unknown encoder 'null'."),
        (["encoder=bert-base-uncased"], "did you mean 'bert_base'? Available: "),
        (["encoder=microsoft/deberta-v3-base"], "; any hub id or folder: encoder.name=microsoft/deberta-v3-base"),
        (["-m", "encoder=tiny,minlm"], "unknown encoder 'minlm'; did you mean 'minilm'?"),
        (["data=stories.jsonl"], "; to name a file: data=jsonl data.train=stories.jsonl"),
        (["loss=mse"], "did you mean 'regression'?"),
        (["trainer=gpu"], "a GPU is device=cuda"),
        (["hydra/sweeper=optuna"], "hydra/sweeper: no effect here; sweepers and launchers need train -m"),
        (["hydra.sweeper.params.seed=0"], "sweepers and launchers need train -m on the command line"),
        (["--config", "my.yaml"], "a file of one's own is --config-dir FOLDER --config-name NAME"),
        (["+trainer.foo=3"], "unknown key 'trainer.foo'; --help trainer lists the keys of trainer"),
        (["hydra.run.dir=runs/f"], "hydra.run.dir: no effect here; a run's folder is output_dir=runs/f"),
        (["-m", "hydra.sweep.dir=runs/f"], "a run's folder is output_dir=runs/f"),
        (["hydra.run.dir=outputs/${now:%H}"], "hydra.run.dir: no effect here"),
        (["hydra.verbose=true"], "train.log in a run's folder has every line"),
        (["hydra.job.chdir=true"], "hydra.job.chdir: no effect here"),
        (["+hydra.job.chdir=true"], "hydra.job.chdir: no effect here"),
        (["hydra/job_logging=colorlog"], "hydra/job_logging: no effect here"),
    ],
)
def test_words_are_refused_with_what_to_type(words: list[str], complaint: str) -> None:
    with pytest.raises(UserError) as caught:
        compose("train", words)
    assert complaint in str(caught.value)


def test_paths_without_a_key_are_given_theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    (tmp_path / "one").touch()
    for name, answer in (
        ("train", "resume=run data.train=one"),
        ("evaluate", "checkpoint=run data.test=one"),
        ("predict", "checkpoint=run input=one"),
    ):
        with pytest.raises(UserError, match=f"run: a word without a key; write {answer}"):
            compose(name, ["run", "one"])
    with pytest.raises(UserError, match="write checkpoint=owner/name"):
        compose("predict", ["owner/name"])
    with pytest.raises(UserError, match="-m: predict is for one checkpoint at a time"):
        compose("predict", ["-m", "checkpoint=a,b"])


def test_words_that_hydra_understands_in_another_way_are_replaced() -> None:
    assert read_words("train", ["+experiment=naon", "++seed=1", "trainer.epochs = 2"]) == [
        *("experiment=naon", "seed=1", "trainer.epochs=2")
    ]
    assert read_words("train", ["seed=1", "--cfg", "job", "debug=smoke"]) == ["seed=1", "debug=smoke", "--cfg", "job"]
    assert read_words("train", ["hydra.mode=MULTIRUN", "seed=0,1"]) == ["seed=0,1", "-m"]
    assert read_words("train", ["experiment=null", "+sweep=null", "debug=null"]) == []
    assert read_words("evaluate", ["data=null", "decoder=null"]) == []
    harmless = ["hydra.run.dir=.", "hydra.job.chdir=false", "hydra/job_logging=none", "+hydra.job.env_set.A=b"]
    assert read_words("train", harmless) == harmless
    assert "hydra.run.dir=." in read_words("train", ["--config-dir", "run", "--config-name", "config"])


@pytest.mark.parametrize(
    "words",
    [
        ["encoder.tiny_width=48"],
        ["trainer.max_steps=20", "trainer.epochs=2"],
        ["cache=off", "cache.dtype=float16"],
        ["freeze=encoder", "optim.lr=1e-3"],
        ["max_nonfinite=3"],
        ["decoder=borda", "decoder.beam_width=3"],
        ["loss.margin_width=2"],
        ["data=jsonl", "data.train=x", "data.text_layout=paragraphs"],
        ["data=jsonl", "data.train=x", "data.test=x", "data.test_share=0.2"],
    ],
)
def test_a_key_without_effect_is_refused(words: list[str]) -> None:
    with pytest.raises(UserError, match=rf"^{words[-1].split('=')[0]}: no effect with .*; leave it out, or change "):
        load_config(*words)
    load_config(*words[:-1])
    load_config("debug=smoke", *words)  # that cuts any command short


def test_a_home_folder_is_expanded_in_every_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text("# @package _global_\noutput_dir: ~/from_a_file\n")
    config = compose("train", ["data=jsonl", "data.train=~/a b", "cache.dir='~/c'", 'output_dir="~/r"', "resume=~/r"])
    assert (config.data.train, config.cache.dir) == (f"{tmp_path}/a b", f"{tmp_path}/c")
    assert (config.output_dir, config.resume) == (f"{tmp_path}/r", f"{tmp_path}/r")
    found = compose("train", [f"hydra.searchpath=[{tmp_path}]", "experiment=mine"])
    assert found.output_dir == f"{tmp_path}/from_a_file"
    found = compose("predict", ["checkpoint=~", "input=~/in", "output=~/out"])
    assert (found.checkpoint, found.input, found.output) == (str(tmp_path), f"{tmp_path}/in", f"{tmp_path}/out")
    assert compose("predict", ["checkpoint=x", "input=~root/in"]).input == str(Path("~root/in").expanduser())
    assert read_words("train", ["data.train=[~/a,~/b]"]) == ['data.train=["~/a","~/b"]']
    with pytest.raises(UserError, match=r"output: ~nobody_here/x: no such user, or no home folder"):
        compose("predict", ["checkpoint=x", "input=x", "output=~nobody_here/x"])
