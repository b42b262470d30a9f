"""The wheel holds what it needs, and trains and predicts from any folder."""

import os
import subprocess
import sys
import sysconfig
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
import yaml

from sentence_order import version_text
from sentence_order.__main__ import COMMANDS

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built without network."""
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=120)
    return next(folder.glob("*.whl"))


def test_wheel_has_its_configs_commands_and_licence(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        texts = {
            name: archive.read(next(path for path in names if path.endswith(name))).decode()
            for name in ("METADATA", "entry_points.txt", "LICENSE")
        }
    configs = {
        f"sentence_order/configs/{path.relative_to(ROOT / 'configs')}" for path in (ROOT / "configs").rglob("*.yaml")
    }
    files = (ROOT / "sentence_order/demo").rglob("*.*")
    page = {str(path.relative_to(ROOT)) for path in files if path.suffix != ".pyc"}
    assert configs | page | {"sentence_order/py.typed"} <= names
    assert {name.split("/")[0] for name in names} == {"sentence_order", f"{wheel.name.split('-py3')[0]}.dist-info"}
    entry_points = {f"sentence-order-{name} = sentence_order.{name}:main" for name in COMMANDS}
    assert entry_points | {"sentence-order = sentence_order.__main__:main"} == {
        line for line in texts["entry_points.txt"].splitlines() if " = " in line
    }
    metadata = Parser().parsestr(texts["METADATA"])
    assert (metadata["License-Expression"], metadata["License-File"]) == ("Apache-2.0", "LICENSE")
    assert metadata["Author"] in texts["LICENSE"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert (citation["license"], citation["version"]) == ("Apache-2.0", metadata["Version"])
    assert [author["name"] for author in citation["authors"]] == [metadata["Author"]]
    assert f"## {metadata['Version']}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_wheel_trains_and_predicts_in_another_environment(wheel: Path, tmp_path: Path) -> None:
    """Its environment has nothing but the wheel, and sees the packages of this one, without those of its .pth files."""
    bin_dir, work = tmp_path / "venv" / "bin", tmp_path / "work"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", bin_dir.parent], check=True, timeout=60)
    (site,) = (tmp_path / "venv").glob("lib/python3*/site-packages")
    (site / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    install = ["install", "--quiet", "--no-deps", "--no-index", str(wheel)]
    subprocess.run([sys.executable, "-m", "pip", "--python", bin_dir / "python", *install], check=True, timeout=120)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    (work / "mine" / "data").mkdir(parents=True)
    (work / "mine" / "data" / "few.yaml").write_text(
        "defaults: [synthetic]\nlimit_train: 50\nlimit_validation: 10\nlimit_test: 10\n"
    )

    def run(program: str, *arguments: str, stdin: str | None = None) -> str:
        done = subprocess.run(
            [bin_dir / program, *arguments],
            cwd=work,
            env=environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=200,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert run("sentence-order-train", "--version") == f"{version_text()}\n"
    place = run("python", "-c", "import sentence_order; print(sentence_order.__file__)")
    assert Path(place.strip()) == site / "sentence_order" / "__init__.py"
    settings = ["encoder=tiny", "debug=smoke", "device=cpu", "output_dir=run"]
    run("python", "-m", "sentence_order.train", "--config-dir", "mine", "data=few", *settings)
    text = "He ate it.\nTom baked a cake.\n"
    answer = run("sentence-order", "predict", "checkpoint=run", "input=-", "format=text", stdin=text)
    assert sorted(yaml.safe_load(answer)["order"]) == [0, 1]
