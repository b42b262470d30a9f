"""The page: gradio's components and their places."""

import logging
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import gradio as gr
import httpx

from sentence_order.config.schema import Precision
from sentence_order.demo.address import bypass_proxy, is_local
from sentence_order.demo.endpoints import make_endpoints
from sentence_order.demo.examples import EXAMPLES
from sentence_order.demo.handlers import Handlers
from sentence_order.demo.render import render_model
from sentence_order.demo.theme import make_theme
from sentence_order.errors import UserError, first_line
from sentence_order.inference.orderer import SentenceOrderer
from sentence_order.runtime.console import log
from sentence_order.runtime.device import choose_runtime

HERE = Path(__file__).parent
ABOUT = """\
# Sentence order

Paste sentences in any order: the model puts them in the order that it finds likeliest. It runs on the machine that
serves this page, and no text leaves it.
"""
# While an answer is pending, the last list cannot be moved: its comparison would stand beside the new list.
LOCK_ANSWER = '() => document.querySelector("#so-answer")?.setAttribute("inert", "")'
UNLOCK_ANSWER = '() => document.querySelector("#so-answer")?.removeAttribute("inert")'
# Says to a screen reader what has changed, in a node that stays: gradio replaces those of an answer.
ANNOUNCE = """(where) => {
  const spoken = [...document.querySelectorAll(`${where} .so-spoken`)].map((node) => node.textContent.trim());
  const live = document.querySelector("#so-answer [aria-live=polite]");
  if (live) live.textContent = spoken.join("; ");
}"""
ANNOUNCE_COMPARISON = f'() => ({ANNOUNCE})("#so-own")'
# On a narrow screen the answer is below the text.
SHOW_ANSWER = """() => {
  document.querySelector("#so-answer")?.removeAttribute("inert");
  const answer = document.querySelector(".so-message, .so-verdict");
  if (answer.getBoundingClientRect().top > innerHeight / 2) answer.scrollIntoView({ behavior: "smooth" });
  (ANNOUNCE)(".so-verdict");
}""".replace("ANNOUNCE", ANNOUNCE)
MAX_WAITING = 200  # requests in the queue
MAX_UPLOAD = 1  # byte: the page takes no files, but gradio would store any that is sent
# The model answers one request at a time; all others wait in one queue.
ONE_AT_A_TIME = {"concurrency_limit": 1, "concurrency_id": "model"}


def load_orderer(checkpoint: str, device: str) -> SentenceOrderer:
    """The model of a checkpoint on a device. Raises UserError if it does not load."""
    orderer = SentenceOrderer.from_pretrained(checkpoint)
    logging.getLogger("sentence_order.inference").setLevel(logging.WARNING)  # no line for every request
    return orderer.to(choose_runtime(device, Precision.fp32).device)


def build_page(orderer: SentenceOrderer, checkpoint: str) -> gr.Blocks:
    """The page of a model, which first shows an example and its order."""
    handlers = Handlers(orderer, checkpoint)
    first_text, first_mode, *first = handlers.choose(0)
    # Its own analytics also look for newer versions of gradio elsewhere.
    with gr.Blocks(title="Sentence order", analytics_enabled=False) as page:
        gr.Markdown(ABOUT, elem_id="so-about")
        with gr.Row(elem_id="so-columns"):
            with gr.Column(scale=4, min_width=300):
                info = "Shift+Enter orders it."
                text = gr.Textbox(first_text, label="Your text", info=info, lines=11, max_lines=18, elem_id="so-text")
                info = "If not, the text is split into sentences."
                one_per_line = gr.Checkbox(first_mode, label="One sentence per line", info=info, elem_id="so-mode")
                with gr.Row():
                    button = gr.Button("Order", variant="primary", min_width=120, elem_id="so-order")
                    again = gr.Button("Shuffle again", min_width=120, elem_id="so-shuffle")
                examples = gr.Dataset(
                    label="Examples",
                    components=[gr.Textbox(visible=False)],
                    samples=[[example.title] for example in EXAMPLES],
                    type="index",
                )
                gr.HTML(render_model(checkpoint))
            with gr.Column(scale=6, min_width=300):
                shown = _add_answer(first)

        # Before the events of the page, so that their names are free.
        for endpoint in make_endpoints(orderer):
            gr.api(endpoint, api_name=endpoint.__name__, **ONE_AT_A_TIME)
        given = [text, one_per_line]
        private: dict[str, Any] = {"api_visibility": "private", **ONE_AT_A_TIME}
        # Before the handlers: gradio calls them one after the other.
        gr.on([button.click, text.submit, again.click, examples.click], js=LOCK_ANSWER, api_visibility="private")
        answered = [
            gr.on([button.click, text.submit], handlers.order, given, shown, show_progress="minimal", **private),
            again.click(handlers.shuffle, given, [*given, *shown], show_progress="minimal", **private),
            examples.click(handlers.choose, examples, [*given, *shown], show_progress="minimal", **private),
        ]
        for event in answered:
            event.then(js=SHOW_ANSWER, api_visibility="private")
            event.failure(js=UNLOCK_ANSWER, api_visibility="private")
        # Of several moves while one is answered, the last counts.
        _, sentences, own, *_ = shown
        rated = sentences.input(
            handlers.rate, sentences, own, trigger_mode="always_last", show_progress="hidden", **private
        )
        rated.then(js=ANNOUNCE_COMPARISON, api_visibility="private")
    page.queue(max_size=MAX_WAITING)
    return page


def _add_answer(values: list[Any]) -> list[Any]:
    """The components of an answer, in the order of `Handlers.show`, which gives their values."""
    plain: dict[str, Any] = {"language": None, "interactive": False, "show_line_numbers": False, "wrap_lines": True}
    confidence = gr.HTML(values[0])
    with gr.Column(elem_id="so-answer") as answer:
        # Its template holds no values: gradio would run code in them.
        sentences = gr.HTML(
            values[1], html_template=_read("list.html"), js_on_load=_read("list.js"), apply_default_css=False
        )
        own = gr.HTML(values[2], elem_id="so-own")

        with gr.Tabs():
            with gr.Tab("Orders"):
                orders = gr.HTML(values[3])
            with gr.Tab("Pairs"):
                pairs = gr.HTML(values[4])
            with gr.Tab("Commands"):
                command = gr.Code(values[5], label="In a shell", **plain)
                lines = gr.Code(values[6], label="In Python", **plain)
    return [confidence, sentences, own, orders, pairs, command, lines, answer]


def _read(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


def launch_page(page: gr.Blocks, host: str, port: int) -> None:
    """Opens the port and returns. Raises UserError if it was taken meanwhile, or the page does not answer."""
    bypass_proxy(host, os.environ)
    try:
        page.launch(
            server_name=host,
            server_port=port,
            prevent_thread_lock=True,
            quiet=True,
            share=False,
            ssr_mode=False,
            pwa=False,
            run_history=False,
            enable_monitoring=False,
            footer_links=["api"],
            max_file_size=MAX_UPLOAD,
            show_error=True,  # to programs, which else get an error without its text
            favicon_path=HERE / "icon.svg",
            theme=make_theme(),
            css_paths=HERE / "page.css",
        )
    except OSError as error:
        raise UserError(f"port: {port} cannot be opened ({error}); name another, or add port=auto") from error
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise UserError(
            f"host: the page at {host}:{port} does not answer this machine ({first_line(error)})"
        ) from error


def serve_page(page: gr.Blocks, host: str, port: int) -> None:
    """Serves the page until it is interrupted."""
    launch_page(page, host, port)
    if not is_local(host):
        log.info("host: other machines can reach the page by %s:%d, without a password", host, port)
    log.info("the page is at %s; Ctrl-C stops it", page.local_url)
    with suppress(KeyboardInterrupt):
        page.server.thread.join()
    page.close(verbose=False)
