"""The page as a server: what programs get of it, and what the browser is sent."""

import importlib.util
import json
import re
import shlex
import shutil
import subprocess
import threading
import tomllib
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sentence_order.config.schema import DemoConfig
from sentence_order.demo.address import choose_address
from sentence_order.errors import UserError
from sentence_order.inference.orderer import SentenceOrderer
from sentence_order.model.modeling import SentenceOrdererModel
from tests.conftest import make_tiny
from tests.model.test_heads import MODELS

gradio = pytest.importorskip("gradio", reason="the page needs the extra `demo`")
httpx = pytest.importorskip("httpx", reason="gradio asks its own page by it")

STORY = ["Tom baked a cake.", "It smelled of lemon.", "He ate it."]
DOCUMENTED = "http://127.0.0.1:7860/"
FOLDER = Path(__file__).resolve().parents[2] / "sentence_order" / "demo"


@pytest.fixture(scope="module")
def orderer(stories: list[list[str]]) -> SentenceOrderer:
    return SentenceOrderer(make_tiny(stories, "tiny"))


@pytest.fixture(scope="module")
def address(orderer: SentenceOrderer) -> Iterator[str]:
    """The address of a page that is served."""
    from sentence_order.demo.page import build_page, launch_page

    page = build_page(orderer, "outputs/mine")
    launch_page(page, *choose_address(DemoConfig(port="auto"), {}))
    yield page.local_url
    page.close(verbose=False)


def test_programs_get_the_prediction(address: str, orderer: SentenceOrderer) -> None:
    from gradio_client import Client

    expected = orderer.predict([STORY])[0]
    client = Client(address, verbose=False)
    answer = client.predict(" ".join(STORY), api_name="/order")
    assert answer["given"] == STORY
    assert answer["truncated"] == 0
    assert answer["order"] == expected.order
    assert answer["confidence"] == pytest.approx(expected.confidence)
    assert answer["top_k"][0]["order"] == expected.order
    rated = client.predict(STORY, expected.order, api_name="/probability")
    assert rated["probability"] == pytest.approx(expected.probability)
    for arguments, name, said in (
        (["", True], "/order", "at least two sentences"),
        ([STORY, [0, 0, 1]], "/probability", "each number from 0 to 2 once"),
    ):
        with pytest.raises(Exception, match=said):
            client.predict(*arguments, api_name=name)
    assert client.predict("One.\nTwo.", True, api_name="/order")["given"] == ["One.", "Two."]


def test_fifty_requests_at_once_are_all_answered(address: str, orderer: SentenceOrderer) -> None:
    texts = [f"{STORY[0]}\n{STORY[1]}\n{STORY[2]} {number}" for number in range(50)]
    found: dict[str, object] = {}

    def ask(text: str) -> None:
        call = f"{address}gradio_api/call/order"
        request = urllib.request.Request(call, json.dumps({"data": [text, True]}).encode(), _json_type())
        with urllib.request.urlopen(request, timeout=100) as answer:
            event = json.load(answer)["event_id"]
        with urllib.request.urlopen(f"{call}/{event}", timeout=100) as answer:
            found[text] = json.loads(answer.read().decode().rpartition("data: ")[2])[0]["order"]

    threads = [threading.Thread(target=ask, args=(text,)) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    predictions = orderer.predict([text.split("\n") for text in texts])
    assert found == {text: found.order for text, found in zip(texts, predictions, strict=True)}


def test_the_page_names_no_other_host_that_a_browser_would_ask(address: str) -> None:
    with urllib.request.urlopen(address, timeout=20) as answer:
        html = answer.read().decode()
    loaded = re.findall(r"<(?:script|link|img|iframe)\b[^>]*(?:src|href)=\"(.*?)\"", html)
    assert loaded
    assert not [url for url in loaded if url.startswith(("http", "//"))]
    with urllib.request.urlopen(f"{address}theme.css", timeout=20) as answer:
        assert not re.search(r"url\(['\"]?(?:https?:)?//|@import", answer.read().decode())


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_documented_call_by_http_is_answered(address: str) -> None:
    text = (FOLDER.parents[1] / "docs" / "demo.md").read_text(encoding="utf-8")
    call, result = (line.strip() for line in text.splitlines() if line.startswith("    curl "))
    assert DOCUMENTED in call
    assert DOCUMENTED in result

    def run(line: str) -> str:
        command = [*shlex.split(line.replace(DOCUMENTED, address)), "--noproxy", "*", "--max-time", "60"]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    lines = run(result.replace("EVENT_ID", json.loads(run(call))["event_id"])).splitlines()
    assert "event: complete" in lines
    (answer,) = json.loads(next(line for line in lines if line.startswith("data: ")).removeprefix("data: "))
    assert sorted(answer["given"]) == ["He ate it.", "Tom baked a cake."]


def test_a_file_that_is_sent_is_refused(address: str) -> None:
    part = 'Content-Disposition: form-data; name="files"; filename="a.txt"\r\nContent-Type: text/plain'
    body = f"--x\r\n{part}\r\n\r\nmore than a byte\r\n--x--\r\n".encode()
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    request = urllib.request.Request(f"{address}gradio_api/upload", body, kind)
    with pytest.raises(urllib.error.HTTPError, match="413"):
        urllib.request.urlopen(request, timeout=20)


def test_nothing_is_reported_to_the_makers_of_gradio(orderer: SentenceOrderer) -> None:
    from sentence_order.demo.page import build_page

    assert build_page(orderer, "x").analytics_enabled is False


def test_a_pointer_network_is_shown_without_pairs(make_model: Callable[..., SentenceOrdererModel]) -> None:
    from sentence_order.demo.handlers import Handlers

    handlers = Handlers(SentenceOrderer(make_model(**MODELS["pointer"])), "x")
    text, one_per_line, *shown = handlers.choose(0)
    assert "no probabilities of pairs" in shown[4]
    assert shown[1]["neighbours"] is None
    own = {**shown[1], "order": shown[1]["order"][::-1]}
    assert "no probabilities of pairs" in handlers.rate(own)
    assert "the same order" in handlers.shuffle(text, one_per_line)[2]


def test_a_port_that_was_taken_meanwhile_is_a_users_mistake(orderer: SentenceOrderer, address: str) -> None:
    from sentence_order.demo.page import build_page, launch_page

    port = int(address.rstrip("/").rpartition(":")[2])
    with pytest.raises(UserError, match=f"^port: {port} cannot be opened"):
        launch_page(build_page(orderer, "x"), "127.0.0.1", port)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_the_page_starts_beside_a_proxy_that_does_not_answer(
    orderer: SentenceOrderer, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    from sentence_order.demo.page import build_page, launch_page

    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "")
    try:
        address = choose_address(DemoConfig(host=host, port="auto"), {})
    except UserError:
        pytest.skip(f"this machine has no {host}")
    page = build_page(orderer, "x")
    launch_page(page, *address)
    with urllib.request.urlopen(page.local_url, timeout=20) as answer:
        assert answer.status == 200
    page.close(verbose=False)


@pytest.mark.parametrize("error", [httpx.ConnectError("refused"), httpx.InvalidURL("bad"), ValueError("no localhost")])
def test_a_page_that_does_not_answer_at_the_start_is_a_users_mistake(
    orderer: SentenceOrderer, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    from sentence_order.demo.page import build_page, launch_page

    def fail(*given: object, **settings: object) -> None:
        raise error

    page = build_page(orderer, "x")
    monkeypatch.setattr(page, "launch", fail)
    with pytest.raises(UserError, match=rf"^host: the page at 127\.0\.0\.1:7860 does not answer .*\({error}\)"):
        launch_page(page, "127.0.0.1", 7860)


def test_the_space_names_the_wheel_of_this_version() -> None:
    project = tomllib.loads((FOLDER.parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wheel = f"./{project['name'].replace('-', '_')}-{project['version']}-py3-none-any.whl[demo]"
    assert wheel in (FOLDER / "space" / "requirements.txt").read_text(encoding="utf-8").splitlines()
    for path in (FOLDER / "space" / "README.md", FOLDER.parents[1] / "docs" / "demo.md"):
        assert f"`{wheel}`" in path.read_text(encoding="utf-8")


def test_the_space_has_the_version_of_gradio_that_is_tested() -> None:
    head = (FOLDER / "space" / "README.md").read_text(encoding="utf-8").split("---")[1]
    version = re.search(r"sdk_version: (\S+)", head)
    assert version is not None
    assert f"gradio=={version[1]}\n" in (FOLDER.parents[1] / "constraints.txt").read_text(encoding="utf-8")
    assert "app_file: app.py" in head
    assert importlib.util.find_spec("gradio") is not None


def _json_type() -> dict[str, str]:
    return {"Content-Type": "application/json"}
