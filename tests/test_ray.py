"""The code of the page on Ray, as it stands there, on a Ray of this machine."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sentence_order.inference.orderer import SentenceOrderer
from sentence_order.model.modeling import SentenceOrdererModel
from tests.test_docs import ROOT, python_blocks


@pytest.mark.slow
def test_code_of_the_page_on_ray_orders_all_documents(
    tiny_model: SentenceOrdererModel, stories: list[list[str]], tmp_path: Path
) -> None:
    pytest.importorskip("ray.data", reason="needs the extra ray", exc_type=ImportError)
    orderer = SentenceOrderer(tiny_model)
    orderer.save_pretrained(tmp_path / "outputs" / "RUN")
    lines = [json.dumps({"id": str(n), "sentences": story}) for n, story in enumerate(stories)]
    (tmp_path / "documents.jsonl").write_text("\n".join(lines) + "\n")

    (code,) = python_blocks("ray.md")
    # In place of a cluster; relative paths are then meant from here.
    code = f"import ray\nray.init(num_cpus=2, include_dashboard=False)\n{code}"
    for name in ("documents.jsonl", "outputs/RUN", "ordered"):
        code = code.replace(f'"{name}"', repr(str(tmp_path / name)))
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, "RAY_USAGE_STATS_ENABLED": "0"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stderr

    files = (tmp_path / "ordered").iterdir()
    records = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    records.sort(key=lambda record: int(record["id"]))
    for record, story, expected in zip(records, stories, orderer.predict(stories), strict=True):
        assert (record["sentences"], record["order"]) == (story, expected.order)
        assert record["confidence"] == pytest.approx(expected.confidence, abs=1e-4)
