"""What is checked before the page is there: address, checkpoint, gradio."""

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess

import pytest

import sentence_order.demo as demo
from sentence_order.config.schema import DemoConfig
from sentence_order.demo.address import bypass_proxy, choose_address
from sentence_order.errors import UserError
from sentence_order.inference.orderer import SentenceOrderer
from sentence_order.model.modeling import SentenceOrdererModel

Command = Callable[..., CompletedProcess[str]]


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that another program has opened."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_the_address_is_local_unless_it_is_set() -> None:
    assert choose_address(DemoConfig(port="auto"), {})[0] == "127.0.0.1"
    variables = {"GRADIO_SERVER_NAME": "0.0.0.0"}
    assert choose_address(DemoConfig(port="auto"), variables)[0] == "0.0.0.0"
    assert choose_address(DemoConfig(port="auto", host="localhost"), variables)[0] == "localhost"


@pytest.mark.parametrize("host", ["::1", "[::1]"])
def test_an_ipv6_address_has_brackets_as_in_a_url(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setattr("sentence_order.demo.address._is_free", lambda *address: True)  # also without IPv6
    assert choose_address(DemoConfig(port="auto", host=host), {})[0] == "[::1]"


def test_a_proxy_is_not_asked_for_this_machine() -> None:
    environment = {"NO_PROXY": "example.org"}
    bypass_proxy("[::1]", environment)
    assert environment["no_proxy"] == environment["NO_PROXY"] == "example.org,localhost,127.0.0.1,::1"


def test_the_port_is_that_of_gradios_variable_unless_it_is_set(taken: int) -> None:
    with pytest.raises(UserError, match=f"port: {taken} is taken"):
        choose_address(DemoConfig(), {"GRADIO_SERVER_PORT": str(taken)})


def test_a_free_port_is_found(monkeypatch: pytest.MonkeyPatch, taken: int) -> None:
    monkeypatch.setattr("sentence_order.demo.address.FIRST_PORT", taken)
    _, port = choose_address(DemoConfig(port="auto"), {})
    assert taken < port < taken + 100


@pytest.mark.parametrize("port", [0, 65_536, -1, 78.6, True, "http", [1]])
def test_a_port_is_a_number_or_auto(port: object) -> None:
    with pytest.raises(UserError, match=r"^port: an integer from 1 to 65535, or auto"):
        choose_address(DemoConfig(port=port), {})


def test_a_taken_port_and_a_wrong_host_are_one_line(command: Command, taken: int) -> None:
    done = command("demo", f"port={taken}", "checkpoint=no/where")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"error: port: {taken} is taken by another program; name another, or add port=auto\n"
    done = command("demo", "host=192.0.2.1", "port=auto")
    assert done.returncode == 2
    assert done.stderr.startswith("error: host: 192.0.2.1 is not an address of this machine")


def test_the_newest_run_is_found_also_in_a_sweep(tmp_path: Path) -> None:
    for number, name in enumerate(("old", "sweep/new", "middle")):
        best = tmp_path / name / "checkpoints" / "best" / "model.safetensors"
        best.parent.mkdir(parents=True)
        best.touch()
        os.utime(best, (number % 2 + 1, number % 2 + 1))
    (tmp_path / "unfinished").mkdir()
    assert demo.find_newest_run(tmp_path) == tmp_path / "sweep" / "new"


def test_without_a_run_it_says_how_to_train_one(command: Command) -> None:
    done = command("demo", "port=auto")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "error: checkpoint: no run is in outputs/; name one, or train one in a minute or two: "
        "python -m sentence_order.train output_dir=outputs/first\n"
    )


def test_a_checkpoint_that_does_not_load_is_one_line(
    command: Command, tiny_model: SentenceOrdererModel, tmp_path: Path
) -> None:
    done = command("demo", "port=auto", f"checkpoint={tmp_path}")
    assert (done.returncode, done.stdout) == (2, "")
    assert "is not a complete checkpoint" in done.stderr
    pytest.importorskip("gradio", reason="it is loaded when gradio is there")
    SentenceOrderer(tiny_model).save_pretrained(tmp_path / "damaged")
    weights = tmp_path / "damaged" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    done = command("demo", "port=auto", "checkpoint=damaged")
    assert done.returncode == 2, done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: checkpoint: damaged is damaged")


def test_without_gradio_it_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"gradio, which is not installed: pip install -e '\.\[demo\]'"):
        demo.check_gradio()
