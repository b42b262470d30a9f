"""Two short trainings whose every logged number is checked in.

On one machine they repeat to the last bit; processors round differently, so the test allows for 1e-4. Who changes
numbers on purpose renews the file in a commit of its own, and says why:

    python -m tests.test_golden_trajectory
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.forks import Server
from tests.records import lines_without_clock

GOLDEN = Path(__file__).with_name("golden_trajectory.json")
SETTINGS = (
    *("encoder=tiny", "data.limit_train=200", "data.limit_validation=40", "data.limit_test=40", "trainer.max_steps=40"),
    *("trainer.log_every=1", "trainer.eval_every=20", "device=cpu", "precision=fp32", "cache=off", "output_dir=run"),
)
RUNS = {
    "plain": (),
    "dropout, moving average, gradual unfreezing, accumulation, layer decay": (
        *("model.dropout=0.1", "optim.ema=0.9", "freeze.schedule=[0:all,1:half,1.5:none]", "trainer.accumulate=2"),
        "optim.layer_decay=0.9",
    ),
}


@pytest.mark.parametrize("name", RUNS)
def test_losses_and_metrics_are_those_checked_in(forks: Server, tmp_path: Path, name: str) -> None:
    expected = json.loads(GOLDEN.read_text(encoding="utf-8"))[name]
    done = forks.run("sentence_order.train", [*SETTINGS, *RUNS[name]], tmp_path, None, {"OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    found = lines_without_clock(tmp_path / "run")
    assert len(found) == len(expected)
    for line, golden in zip(found, expected, strict=True):
        assert line == pytest.approx(golden, rel=1e-4, abs=1e-4)


def main() -> None:
    """Renews the file."""
    root, trajectories = Path(__file__).resolve().parent.parent, {}
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(root)}
    for name, overrides in RUNS.items():
        with tempfile.TemporaryDirectory() as folder:
            line = [sys.executable, "-m", "sentence_order.train", *SETTINGS, *overrides]
            subprocess.run(line, cwd=folder, env=environment, check=True)
            trajectories[name] = lines_without_clock(Path(folder) / "run")
    runs = (
        f"{json.dumps(name)}: [\n" + ",\n".join(map(json.dumps, lines)) + "\n]" for name, lines in trajectories.items()
    )
    GOLDEN.write_text("{" + ",\n".join(runs) + "}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
