"""No command gives a number that the gold order, an id, a path or a document of the training has improved."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sentence_order.data.synthetic import generate
from tests.forks import Server

Command = Callable[..., subprocess.CompletedProcess[str]]
TINY = ("debug=smoke", "trainer.max_steps=6", "trainer.save_every=2", "trainer.eval_every=3", "data=text")


def write_text(path: Path, documents: list[list[str]]) -> str:
    path.write_text("\n\n".join("\n".join(document) for document in documents) + "\n", encoding="utf-8")
    return path.name


def stories(split: str, count: int) -> list[list[str]]:
    return [sentences for _, sentences, _ in generate(split, 5, count)]


def weights(run: Path) -> bytes:
    return (run / "checkpoints" / "last" / "model.safetensors").read_bytes()


def results_of(run: Path) -> dict[str, Any]:
    return dict(json.loads((run / "results.json").read_text()))


def test_sentences_that_look_alike_to_the_model_are_ordered_by_chance(command: Command, tmp_path: Path) -> None:
    """Equal up to the limit, then numbered; numbered words of no vocabulary would do the same."""
    same = "then she went on and on " * 4
    documents = [[f"Tale {n}: {same} part {k}." for k in range(6)] for n in range(200)]
    data = ["data.max_sentence_tokens=16", f"data.train={write_text(tmp_path / 'tales.txt', documents)}"]
    limits = ["data.limit_train=40", "data.limit_validation=null", "data.limit_test=null", "data.test_share=0.7"]
    done = command("train", *TINY, *data, *limits, "output_dir=run")
    assert done.returncode == 0, done.stderr
    assert "of the sentences have the same tokens as another one of their document" in done.stderr
    test = results_of(tmp_path / "run")["test"]
    deviation = (2 * (2 * 6 + 5) / (9 * 6 * 5) / test["documents"]) ** 0.5
    assert test["documents"] > 100
    assert abs(test["tau"]["value"]) < 4 * deviation
    assert test["pmr"]["value"] < 0.05


def test_documents_of_the_training_are_reported_or_left_out(command: Command, tmp_path: Path) -> None:
    own, others = stories("train", 40), stories("test", 12)
    mixed = write_text(tmp_path / "mixed.txt", [*own[:5], *others[:10]])
    files = [f"data.train={write_text(tmp_path / 'all.txt', own)}", f"data.test={mixed}", "data.limit_train=null"]
    files.append(f"data.validation={write_text(tmp_path / 'validation.txt', others)}")
    done = command("train", *TINY, *files, "output_dir=run")
    assert done.returncode == 0, done.stderr
    assert "overlap: 5 of 40 documents of data.train are also in data.test" in done.stderr
    assert results_of(tmp_path / "run")["overlap"]["train_in_test"] == 5
    card = (tmp_path / "run" / "checkpoints" / "best" / "README.md").read_text()
    assert "- overlap: 5 train_in_test, 10 validation_in_test (data.overlap=warn)\n" in card
    dropped = command("train", *TINY, *files, "data.overlap=drop", "output_dir=dropped")
    assert dropped.returncode == 0, dropped.stderr
    assert results_of(tmp_path / "dropped")["train"]["documents"] == 35

    for policy, (documents, code) in {"warn": (15, 0), "drop": (10, 0), "error": (None, 2)}.items():
        done = command("evaluate", "checkpoint=run", "data=text", f"data.test={mixed}", f"data.overlap={policy}")
        assert done.returncode == code, done.stderr
        assert "5 of 15 documents of data.test are among those that checkpoint=run was trained on" in done.stderr
        if documents:
            record = json.loads(done.stdout)
            assert record["test"]["documents"] == documents
            assert record["overlap"] == {**record["overlap"], "policy": policy, "test_in_earlier_training": 5}
    again = command("train", *TINY, *files, "init_from=run", "data.limit_train=5", "output_dir=again")
    assert "5 of 15 documents of data.test are among those that init_from=run was trained on" in again.stderr
    known = [(tmp_path / run / "checkpoints/best/training_documents.bin").stat().st_size for run in ("run", "again")]
    assert known == [8 * 40, 8 * 40], "those of the earlier training included"


def test_a_corpus_may_be_spelled_otherwise_and_moved(command: Command, forks: Server, tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    write_text(tmp_path / "here" / "t.txt", stories("train", 60))
    for run, path in (("a", "here/t.txt"), ("b", str(tmp_path / "here" / ".." / "here" / "t.txt"))):
        done = command("train", *TINY, f"data.train={path}", f"output_dir={run}")
        assert done.returncode == 0, done.stderr
    assert weights(tmp_path / "a") == weights(tmp_path / "b")
    compared = command("report", "a/results.json", "b/results.json", "--resamples", "50")
    assert compared.returncode == 0, compared.stderr
    assert f"{results_of(tmp_path / 'a')['test']['documents']} documents" in compared.stderr

    killed = forks.run(
        "tests.faults", ["kill:state:2", "train", *TINY, "data.train=here/t.txt", "output_dir=c"], tmp_path, None, {}
    )
    assert killed.returncode == -9
    (tmp_path / "here").rename(tmp_path / "there")
    done = command("train", "resume=c", "data.train=there/t.txt")
    assert done.returncode == 0, done.stderr
    assert "resuming from step 2" in done.stderr
    assert weights(tmp_path / "c") == weights(tmp_path / "a")


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_a_run_does_not_resume_on_other_documents(command: Command, forks: Server, tmp_path: Path, split: str) -> None:
    for name in ("train", "validation", "test"):
        write_text(tmp_path / f"{name}.txt", stories(name, 20))
    files = [f"data.{name}={name}.txt" for name in ("train", "validation", "test")]
    killed = forks.run("tests.faults", ["kill:state:2", "train", *TINY, *files, "output_dir=run"], tmp_path, None, {})
    assert killed.returncode == -9
    write_text(tmp_path / f"{split}.txt", stories(split, 21)[1:])
    done = command("train", "resume=run")
    assert (done.returncode, f"data.{split}: has changed" in done.stderr) == (2, True), done.stderr


def test_keys_that_a_checkpoint_decides_are_not_passed_over(command: Command, tmp_path: Path) -> None:
    for key in ("max_sentence_tokens=4", "strip_enumeration=true"):
        done = command("evaluate", "checkpoint=x", "data=text", "data.test=x.txt", f"data.{key}")
        assert done.returncode == 2
        assert f"data.{key.split('=')[0]}: cannot be changed" in done.stderr
