"""What needs no torch is done without it: mistakes in names and options are reported at once, reports are written."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from sentence_order.model.locations import REQUIRED_FILES
from tests.experiments.runs import make_run

# Runs commands one after the other, each in a process of its own.
RUN_EACH = """
import os, shlex, sys
import sentence_order.train, sentence_order.predict, sentence_order.evaluate
import sentence_order.report, sentence_order.cache
for command in sys.stdin.read().splitlines():
    if not (child := os.fork()):
        name, *sys.argv[1:] = shlex.split(command)
        sys.modules[f"sentence_order.{name}"].main()
        os._exit(0)
    print(f"exit code {os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}", file=sys.stderr, flush=True)
"""
MISTAKES = {
    "train data=jsonl": "data.train: no value; give a path or glob",
    "train data=jsonl data.train=no.jsonl": "data.train: no.jsonl: no such file",
    "train data=jsonl data.train=in.jsonl data.test='no*.jsonl'": "data.test: no file matches no*.jsonl",
    "train data=jsonl data.train=in.jsonl data.test=bad.jsonl": "bad.jsonl:1: not JSON",
    "train data=text data.train=in.csv": "in.csv: holds a table with the columns id, sentences, not plain",
    "train data=text data.train=column.csv": "column.csv: for a file of this name: data=csv",
    "train data=text data.train=lines.txt": "lines.txt: holds JSON, not plain text; data=jsonl reads it",
    "train data=csv data.train=in.csv data.encoding=none": "data.encoding: 'none' is none; such are utf-8",
    "train data=jsonl data.train=[in.jsonl,no.jsonl]": "data.train: no.jsonl: no such file",
    "train data=rocstories data.train=in.csv": "data.train: in.csv is a file, and data=hub takes the name of a split; "
    "data=csv",
    "train data=in.csv": "unknown data 'in.csv'. Available: ",
    "train data=csv data.train=in.csv data.sentences_column=text": "in.csv:2: document '1': no field 'text'",
    "train data=jsonl data.train=in.csv": "in.csv: holds a table with the columns id, sentences, not JSON; data=csv",
    "train data=jsonl data.train=column.csv": "column.csv:1: not JSON: Expecting value: line 1 column 1 (char 0); for "
    "a file of this name: data=csv",
    "train data=jsonl data.train=in.jsonl data.group_column=topic": "in.jsonl:1: no field 'topic'",
    "train output_dir=run": "output_dir: run holds another run (data.limit_train: 9 saved, null given",
    "train resume=run trainer.patience=3": "trainer.patience: run is finished, which this cannot change "
    "(trainer.patience: null saved, 3 given); leave it out; to train on from its weights: ",
    "train --epochs 3": "--epochs: keys have no dashes; use trainer.epochs=3",
    "train --config-dir run --config-name config output_dir=new trainer.epochs=0": "trainer.epochs: must be",
    "predict model goose.txt": "model: a word without a key; write checkpoint=model input=goose.txt",
    "predict checkpoint=~/no input=in.jsonl": "checkpoint: /home-of-test/no: no such folder",
    "train data=jsonl data.train=~/no": "data.train: /home-of-test/no: no such file",
    "report --output=~nobody_here/x run": "path: ~nobody_here/x: no such user, or no home folder",
    "report ~/no": "/home-of-test/no: no such file or folder",
    "train device=gpu": "device: 'gpu' is not a device; accepted are auto, cpu, cuda and cuda:N; did you mean 'cuda'?",
    "train encoder=tiny freeze.layers=99": "freeze.layers: 99 stands for the lowest 99 layers, and this encoder has 4",
    "train encoder.name=./bert freeze.layers=99": "freeze.layers: 99 stands for the lowest 99 layers, and this encoder",
    "train encoder.name=./no": "encoder.name: ./no: no such folder",
    "train encoder.name=bert_base": "encoder.name: bert_base is not a hub id, but an option: encoder=bert_base",
    "train encoder.name=./model": "encoder.name: ./model is a checkpoint of this program: init_from=./model",
    "train encoder.name=./started": "encoder.name: ./started is the folder of a run; to start from its weights: "
    "init_from=./started",
    "train encoder=tiny encoder.joint_from=9": "encoder.joint_from: a number from 0 to 4",
    "train init_from=no": "init_from: no: no such folder",
    "train decoder=pointer": "decoder=pointer: needs the head",
    "train trainer.epochs=0": "trainer.epochs: must be greater than 0",
    "predict checkpoint=no input=in.jsonl": "checkpoint: no: no such folder, and not a hub id",
    "predict checkpoint=run input=in.jsonl": "checkpoint: run is not a complete checkpoint",
    "predict checkpoint=started input=in.jsonl": "checkpoint: the run in started has no best checkpoint yet; "
    "its last one is started/checkpoints/last",
    "predict checkpoint=runs input=in.jsonl": "checkpoint: runs holds 1 run: a; name one, such as checkpoint=runs/a",
    "predict checkpoint=model input=in.parquet": "in.parquet: not a Parquet file, or damaged: ",
    "predict checkpoint=model input=in.jsonl output=new/": "output: new/ is a folder; name a file, or add shard_docum",
    "predict checkpoint=model input=in.jsonl output=in.txt shard_documents=9": "output: in.txt names a file, and",
    "predict checkpoint=model input=in.jsonl shard_documents=9": "output: no folder, in which shard_documents writes",
    "predict checkpoint=model input=in.jsonl delimiter=tab": "delimiter: only for csv, not for jsonl",
    "predict checkpoint=model input=wide.csv": "wide.csv:2: document '1': no field 'sentences' (available: id, s1, "
    "s2); "
    "set 'sentence_columns=[s1,s2]'",
    "predict checkpoint=model input=no.txt": "input: no.txt: no such file",
    "predict checkpoint=model input=bad.jsonl": "bad.jsonl:1: not JSON",
    "predict checkpoint=model input=in.jsonl decoder=pointer": "decoder=pointer: needs the head",
    "evaluate checkpoint=model data=jsonl data.test=no.jsonl": "data.test: no.jsonl: no such file",
    "report run output=here": "output=here: this command takes no overrides; write --output here",
    "cache dir=here": "dir=here: this command takes no overrides; write --dir here",
}


@pytest.fixture
def without_torch(tmp_path: Path) -> Mapping[str, str]:
    """The environment of a process in which importing torch or transformers fails."""
    for name in ("torch", "transformers"):
        (tmp_path / "poison" / name).mkdir(parents=True)
        (tmp_path / "poison" / name / "__init__.py").write_text("raise SystemExit('it was imported')")
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path / "poison"), *sys.path])}


def test_mistakes_are_reported_before_torch_is_imported(without_torch: Mapping[str, str], tmp_path: Path) -> None:
    make_run(tmp_path / "run", [], [0, 1])
    for folder in ("model", "bert"):
        (tmp_path / folder).mkdir()
        for name in REQUIRED_FILES:
            kind = {"model": "sentence-orderer", "bert": "bert"}[folder]
            config = {"model_type": kind, "heads": ["pairs"], "num_hidden_layers": 6}
            (tmp_path / folder / name).write_text(json.dumps(config))
    (tmp_path / "started" / "checkpoints" / "last").mkdir(parents=True)
    (tmp_path / "runs" / "a" / "checkpoints" / "best").mkdir(parents=True)
    (tmp_path / "in.parquet").touch()
    (tmp_path / "in.jsonl").write_text('{"sentences": ["One.", "Two."]}\n')
    (tmp_path / "in.csv").write_text('id,sentences\n1,"[""One."", ""Two.""]"\n')
    (tmp_path / "bad.jsonl").write_text("One.\n")
    (tmp_path / "lines.txt").write_text('["One.", "Two."]\n')
    (tmp_path / "column.csv").write_text("text\nHe came. He left.\n")
    (tmp_path / "wide.csv").write_text("id,s1,s2\n1,He came.,He left.\n")
    done = subprocess.run(
        [sys.executable, "-c", RUN_EACH],
        **{"cwd": tmp_path, "env": {**without_torch, "HOME": "/home-of-test"}, "input": "\n".join(MISTAKES)},
        **{"capture_output": True, "text": True, "timeout": 300},
    )
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 2 * len(MISTAKES), done.stderr
    for command, message, code in zip(MISTAKES, lines[::2], lines[1::2], strict=True):
        assert message.startswith(f"error: {MISTAKES[command]}"), command
        assert code == "exit code 2", command


def test_a_finished_run_is_reported_without_torch(without_torch: Mapping[str, str], tmp_path: Path) -> None:
    make_run(tmp_path / "run", [], [0, 1])
    line = [sys.executable, "-m", "sentence_order.train", "resume=run"]
    done = subprocess.run(line, cwd=tmp_path, env=without_torch, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stderr.endswith(" run is finished; its results are in run/results.json\n")


def test_reports_need_no_torch_and_not_the_backend_of_another_program(
    without_torch: Mapping[str, str], tmp_path: Path
) -> None:
    for seed in (0, 1):
        make_run(tmp_path / "runs" / str(seed), [f"seed={seed}"], [0, 1, 2], started=seed)
    line = [sys.executable, "-m", "sentence_order.report", "runs"]
    environment = {**without_torch, "MPLBACKEND": "module://matplotlib_inline.backend_inline"}
    done = subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "runs" / "report" / "learning_curves.png").is_file()
