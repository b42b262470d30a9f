"""The page in a browser: what a reader sees and can do with a mouse, with keys and with a finger."""

import os
import shutil
from collections.abc import Callable, Iterator
from typing import Any
from unicodedata import bidirectional

import pytest

from sentence_order.config.schema import DemoConfig
from sentence_order.demo.address import choose_address
from sentence_order.inference.orderer import SentenceOrderer
from tests.conftest import make_tiny

pytestmark = pytest.mark.slow
pytest.importorskip("gradio", reason="the page needs the extra `demo`")
api = pytest.importorskip("playwright.sync_api", reason="the browser is driven by playwright, in the extra `slow`")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
if CHROMIUM is None:
    pytest.skip("no chromium is installed", allow_module_level=True)

Page = Any  # of playwright, which may not be installed
Opener = Callable[..., Page]
LIVE = "#so-answer [aria-live=polite]"
MINE = ["First of mine.", "Then another one.", "Now a third.", "At last the end."]


@pytest.fixture(scope="module")
def address(stories: list[list[str]]) -> Iterator[str]:
    from sentence_order.demo.page import build_page, launch_page

    page = build_page(SentenceOrderer(make_tiny(stories, "tiny")), "outputs/mine")
    launch_page(page, *choose_address(DemoConfig(port="auto"), {}))
    yield page.local_url
    page.close(verbose=False)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    options = ["--no-sandbox"] if os.getuid() == 0 else []  # chromium has no sandbox for root
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=options)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Any, address: str) -> Iterator[Opener]:
    """Opens the page. Afterwards nothing may have asked another host, or failed in its scripts."""
    asked: list[str] = []
    errors: list[str] = []
    contexts = []

    def open_(width: int = 1280, **settings: Any) -> Page:
        contexts.append(browser.new_context(viewport={"width": width, "height": 900}, **settings))
        page = contexts[-1].new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(address)
        page.wait_for_selector(".so-row")
        return page

    yield open_
    for context in contexts:
        context.close()
    assert errors == []
    assert [url for url in asked if not url.startswith((address, "data:", "blob:"))] == []


def order_text(page: Page, sentences: list[str]) -> None:
    page.locator("#so-mode input").check()
    page.locator("#so-text textarea").fill("\n".join(sentences))
    page.locator("#so-order").click()
    page.wait_for_function(
        "texts => [...document.querySelectorAll('.so-sentence')].map(e => e.textContent).sort().join() == texts",
        arg=",".join(sorted(sentences)),
    )


def shown(page: Page) -> list[str]:
    """The sentences, as they stand in the list."""
    found: list[str] = page.locator(".so-sentence").all_text_contents()
    return found


def drag(page: Page, start: int, end: int) -> None:
    handle, target = (page.locator(".so-handle").nth(place).bounding_box() for place in (start, end))
    page.mouse.move(handle["x"] + 8, handle["y"] + 8)
    page.mouse.down()
    page.mouse.move(target["x"] + 8, target["y"] + (-4 if end < start else target["height"] + 4), steps=8)
    page.mouse.up()


def test_a_sentence_is_dragged_and_its_order_rated_at_once(open_page: Opener) -> None:
    page = open_page()
    order_text(page, MINE)
    *others, last = shown(page)
    drag(page, 3, 0)
    page.wait_for_selector(".so-compare")
    assert shown(page) == [last, *others]
    assert "Your order" in page.locator("#so-own").inner_text()
    page.locator(".so-reset").click()
    page.wait_for_selector(".so-compare", state="detached")
    assert shown(page) == [*others, last]


def test_the_comparison_is_in_sight_of_a_long_list(open_page: Opener) -> None:
    page = open_page()
    order_text(page, [f"Step number {number}." for number in range(40)])
    page.locator(".so-down").nth(0).click()
    page.wait_for_selector(".so-compare")
    box = page.locator(".so-compare").bounding_box()
    assert 0 < box["y"] < 900 - box["height"]
    assert "probable" in page.locator("#so-own .so-note").first.inner_text()


def test_a_drag_scrolls_as_long_as_the_pointer_is_at_an_edge(open_page: Opener) -> None:
    page = open_page()
    order_text(page, [f"Step number {number}." for number in range(40)])
    moved = shown(page)[0]
    handle, own = (page.locator(name).bounding_box() for name in (".so-handle >> nth=0", "#so-own"))
    page.mouse.move(handle["x"] + 8, handle["y"] + 8)
    page.mouse.down()
    for y, end in ((own["y"] - 20, "last"), (20, "first")):
        page.mouse.move(handle["x"] + 8, y)  # and stays there
        page.locator(f".so-row:{end}-child .so-sentence", has_text=moved).wait_for()
    page.mouse.up()
    assert shown(page)[0] == moved


def test_a_drag_that_is_broken_off_changes_nothing(open_page: Opener) -> None:
    page = open_page()
    before = shown(page)
    box = page.locator(".so-handle").nth(2).bounding_box()
    page.mouse.move(box["x"] + 8, box["y"] + 8)
    page.mouse.down()
    page.mouse.move(box["x"] + 8, 0, steps=8)
    assert shown(page) != before
    page.keyboard.press("Escape")
    page.mouse.up()
    assert shown(page) == before


def test_the_last_list_cannot_be_moved_while_an_answer_is_pending(open_page: Opener) -> None:
    page = open_page()
    pending: list[Any] = []
    page.route("**/queue/join*", lambda route: pending.append(route))
    page.locator("#so-text textarea").fill("\n".join(MINE))
    page.locator("#so-order").click()
    page.wait_for_selector("#so-answer[inert]")
    while not pending:
        page.wait_for_timeout(10)
    pending[0].continue_()
    page.wait_for_selector("#so-answer:not([inert])")
    assert sorted(shown(page)) == sorted(MINE)


def test_the_last_list_can_be_moved_after_a_request_that_was_refused(open_page: Opener) -> None:
    page = open_page()
    first, second, *rest = shown(page)
    full = {"status": 503, "content_type": "application/json", "body": '{"detail": "Queue is full"}'}
    page.route("**/queue/join*", lambda route: route.fulfill(**full))
    with page.expect_response("**/queue/join*"):
        page.locator("#so-order").click()
    page.wait_for_selector("#so-answer:not([inert])")
    page.locator(".so-down").nth(0).click()
    assert shown(page) == [second, first, *rest]


def test_keys_move_a_sentence_and_keep_the_focus(open_page: Opener) -> None:
    page = open_page()
    order_text(page, MINE)
    first, second, third, fourth = shown(page)
    page.locator(".so-handle").nth(0).focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    assert shown(page) == [second, third, first, fourth]
    assert page.locator("[aria-live=assertive]").text_content() == f"“{first}”, now 3 of 4"
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == f"Move “{first}”"
    page.keyboard.press("End")
    assert shown(page) == [second, third, fourth, first]
    page.keyboard.press("ArrowDown")  # it is the last
    assert shown(page) == [second, third, fourth, first]
    page.locator(LIVE).filter(has_text="; The model's order: ").wait_for(state="attached")
    page.keyboard.press("Home")
    page.wait_for_selector(".so-compare", state="detached")  # the model's own order again


def test_what_a_screen_reader_hears(open_page: Opener) -> None:
    page = open_page()
    order_text(page, MINE)
    page.locator(LIVE).filter(has_text=" %").wait_for(state="attached")
    assert page.get_by_role("list", name="The sentences in order").count() == 1
    for row, sentence in enumerate(shown(page)):
        card = page.locator(".so-card").nth(row)
        assert card.locator(".so-hidden").text_content() == f", place {MINE.index(sentence) + 1} in your text"
        assert card.locator("[aria-hidden=true]").count() == 2
    assert page.locator("#so-columns .prose [role=status]").count() == 0


def test_a_button_keeps_the_focus_at_the_end(open_page: Opener) -> None:
    page = open_page()
    order_text(page, MINE)
    first, second, *rest = shown(page)
    name = f"Move up “{second}”"
    page.get_by_role("button", name=name).click()
    page.wait_for_selector(".so-compare")
    assert shown(page) == [second, first, *rest]
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == name
    assert page.evaluate("document.activeElement.getAttribute('aria-disabled')") == "true"
    page.keyboard.press("Enter")  # it is the first
    assert shown(page) == [second, first, *rest]


def test_buttons_move_a_sentence_on_a_narrow_screen(open_page: Opener) -> None:
    page = open_page(width=360, has_touch=True, is_mobile=True)
    order_text(page, MINE)
    first, second, *rest = shown(page)
    page.locator(".so-down").nth(0).tap()
    page.wait_for_selector(".so-compare")
    assert shown(page) == [second, first, *rest]
    for name in ("Orders", "Pairs", "Commands"):
        page.get_by_role("tab", name=name).tap()
        assert page.evaluate("document.documentElement.scrollWidth") == 360
    sizes = [page.locator(".so-step").nth(k).bounding_box() for k in (0, 1)]
    assert all(box["width"] >= 40 and box["height"] >= 40 for box in sizes)


def test_a_finger_drags_a_sentence_by_its_handle(open_page: Opener) -> None:
    page = open_page(width=360, has_touch=True, is_mobile=True)
    order_text(page, MINE)
    first, second, *rest = shown(page)
    handle = page.locator(".so-handle").nth(0)
    handle.scroll_into_view_if_needed()
    box, height = handle.bounding_box(), page.locator(".so-row").nth(1).bounding_box()["height"]
    touch = page.context.new_cdp_session(page)
    for kind, distance in (("Start", 0), *(("Move", height * part / 8) for part in range(1, 9)), ("End", None)):
        points = [] if distance is None else [{"x": box["x"] + 8, "y": box["y"] + 20 + distance}]
        touch.send("Input.dispatchTouchEvent", {"type": f"touch{kind}", "touchPoints": points})
    page.wait_for_selector(".so-compare")
    assert shown(page) == [second, first, *rest]


def test_a_script_in_a_sentence_is_shown_and_not_run(open_page: Opener) -> None:
    page = open_page()
    attacks = [
        "<script>window.attacked = 1</script>",
        "<img src=x onerror='window.attacked = 2'>",
        "${window.attacked = 3} {{constructor}} `",
        "\"><svg onload='window.attacked = 4'>",
    ]
    order_text(page, attacks)
    page.locator(".so-down").nth(0).click()
    page.wait_for_selector(".so-compare")
    for name in ("Pairs", "Commands"):
        page.get_by_role("tab", name=name).click()
    page.locator("#so-shuffle").click()
    page.wait_for_selector(".so-same")
    assert sorted(shown(page)) == sorted(attacks)
    assert page.evaluate("window.attacked") is None


def test_arabic_and_chinese_have_their_direction(open_page: Opener) -> None:
    page = open_page()
    order_text(page, ["استيقظ الولد مبكرا.", "ثم ذهب إلى المدرسة.", "他在早上醒来。", "然后他去了学校。"])
    directions = page.evaluate(
        "[...document.querySelectorAll('.so-sentence')].map(e => [e.textContent, getComputedStyle(e).direction])"
    )
    assert all((direction == "rtl") == (bidirectional(text[0]) == "AL") for text, direction in directions)


def test_running_text_is_split_also_after_an_example(open_page: Opener) -> None:
    page = open_page()
    page.get_by_role("button", name="A recipe").click()
    page.wait_for_function("document.querySelectorAll('.so-row').length == 7")
    page.locator("#so-text textarea").fill("He ate the cake and was\nfull. Tom baked a cake. It smelled of\nlemon.")
    page.locator("#so-order").click()
    page.wait_for_function("document.querySelectorAll('.so-row').length == 3")
    assert sorted(shown(page)) == ["He ate the cake and was full.", "It smelled of lemon.", "Tom baked a cake."]


def test_limits_are_said_in_place_of_an_answer(open_page: Opener) -> None:
    page = open_page()
    for text, said in (("  ", "the text is empty"), ("Yes.\n" * 101, "at most 100"), ("a" * 20_001, "at most 20,000")):
        page.locator("#so-text textarea").fill(text)
        page.locator("#so-order").click()
        page.wait_for_selector(f".so-message:has-text('{said}')")
        assert page.locator(".so-row").count() == 0
    order_text(page, MINE)
    assert page.locator(".so-message").count() == 0


def test_a_hundred_long_sentences_fit(open_page: Opener) -> None:
    page = open_page(width=360)
    order_text(page, [f"{number} {'w' * 150}" for number in range(100)])
    page.get_by_role("tab", name="Pairs").click()
    assert "at most 40 sentences; here are 100" in page.locator("#so-answer").inner_text()
    assert page.evaluate("document.documentElement.scrollWidth") == 360


def test_shuffled_again_the_answer_is_the_same(open_page: Opener) -> None:
    page = open_page()
    before = shown(page)
    page.locator("#so-shuffle").click()
    page.wait_for_selector(".so-same")
    assert "the same order" in page.locator(".so-verdict").inner_text()
    assert shown(page) == before


def test_an_example_is_ordered_when_it_is_chosen(open_page: Opener) -> None:
    page = open_page()
    page.get_by_role("button", name="A recipe").click()
    page.wait_for_function("document.querySelectorAll('.so-row').length == 7")
    assert "Rinse the lentils" in page.locator("#so-text textarea").input_value()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_have_contrast_in_light_and_dark(open_page: Opener, scheme: str) -> None:
    page = open_page(color_scheme=scheme)
    page.locator(".so-down").nth(0).click()
    page.wait_for_selector(".so-compare")
    names = [".so-sentence", ".so-link", ".so-hint", ".so-place", ".so-moved", ".so-headline", ".so-note", ".so-chip"]
    for name in [*names, "#so-order"]:
        assert page.evaluate(CONTRAST, name) >= 4.5, name


# Of a text and what is behind it, as WCAG defines it; colours are painted to know them as numbers.
CONTRAST = """name => {
  const paint = colours => {
    const context = Object.assign(document.createElement("canvas"), { width: 1, height: 1 }).getContext("2d");
    for (const colour of colours) { context.fillStyle = colour; context.fillRect(0, 0, 1, 1); }
    return [...context.getImageData(0, 0, 1, 1).data].slice(0, 3).map(v => v / 255);
  };
  const luminance = rgb => {
    const [r, g, b] = rgb.map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const element = document.querySelector(name);
  const behind = [];
  for (let at = element; at; at = at.parentElement) behind.unshift(getComputedStyle(at).backgroundColor);
  const values = [paint(behind), paint([...behind, getComputedStyle(element).color])].map(luminance);
  return (Math.max(...values) + 0.05) / (Math.min(...values) + 0.05);
}"""
