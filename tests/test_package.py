"""The wheel has the configs and console scripts, and works from any folder."""

import importlib
import os
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def test_wheel_has_its_configs_and_console_scripts(tmp_path: Path) -> None:
    build = ["pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(tmp_path), str(ROOT)]
    subprocess.run([sys.executable, "-m", *build], check=True, timeout=120)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        scripts = archive.read(next(n for n in names if n.endswith("entry_points.txt"))).decode()
        archive.extractall(tmp_path / "site")
    configs = {
        f"sentence_order/configs/{path.relative_to(ROOT / 'configs')}" for path in (ROOT / "configs").rglob("*.yaml")
    }
    assert configs <= names
    assert not [name for name in names if name.startswith(("tests", "configs"))]
    entry_points = [line.partition(" = ") for line in scripts.splitlines() if " = " in line]
    assert {name for name, _, _ in entry_points} == {
        f"sentence-order-{program}" for program in ("train", "evaluate", "predict", "report", "cache")
    }
    for name, _, target in entry_points:
        module, _, function = target.partition(":")
        assert callable(getattr(importlib.import_module(module), function)), name
    shown = subprocess.run(
        [sys.executable, "-m", "sentence_order.train", "--help"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "encoder=" in shown.stdout, shown.stderr
