"""The console's script in a real browser, on pages made by the test: keys, decisions, live bars."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page, Route

from tests.support.browser import headless_browser

pytestmark = pytest.mark.long  # drives a browser, so it is slow

SCRIPT = Path("services/console/static/console.js").read_text(encoding="utf-8")
ORIGIN = "http://console.test"

# Fakes of the server that the script calls: stream tickets, and streams whose events a test sends.
FAKES = """
window.streams = [];
window.tickets = 0;
window.EventSource = class extends EventTarget {
  static CLOSED = 2;
  constructor(url) { super(); this.url = new URL(url, location); this.readyState = 1; window.streams.push(this); }
  close() { this.readyState = 2; }
  emit(type, data, id) {
    this.dispatchEvent(new MessageEvent(type, { data: JSON.stringify({ type, ...data }), lastEventId: id }));
  }
};
window.answers = {};
window.asked = [];
window.fetch = async (path) => {
  window.asked.push(path.split("?")[0]);
  const status = window.answers[path.split("?")[0]] ?? 200;
  return { status, ok: status < 300, json: async () => ({ ticket: `t${++window.tickets}` }) };
};
const wait = window.setTimeout;  // retry without a delay
window.setTimeout = (work, after, ...rest) => wait(work, work.name === "follow" ? 0 : after, ...rest);
window.done = [];
document.addEventListener("click", (event) => { if (event.target.id) window.done.push(event.target.id); });
window.swapped = () => document.dispatchEvent(new CustomEvent("htmx:after:swap"));
"""
KEYS = """
<button id="approve" data-key="a">a</button> <button id="next" data-key="]">]</button>
<button id="before" data-key="[">[</button> <a id="queue" data-key="g q" href="#q">q</a>
<button id="save" data-key="s">s</button> <textarea id="text"></textarea>
<p data-row><button id="row1">1</button></p><p data-row><button id="row2">2</button></p>
<p data-row><button id="row3">3</button></p>
"""


def bar(asks: str) -> str:
    """Return the HTML of a live bar with these attributes, and of the announcer."""
    button = '<a data-live-show hidden href="#">Показать</a>'
    return f'<div id="announcer"></div><div {asks} data-live-text="Новых: {{n}}">{button}</div>'


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with headless_browser() as running:
        yield running


@pytest.fixture
async def page(browser: Browser) -> AsyncIterator[Page]:
    opened = await browser.new_page()
    failures: list[str] = []
    opened.on("pageerror", lambda error: failures.append(str(error)))
    yield opened
    await opened.close()
    assert not failures


async def load(page: Page, body: str) -> None:
    """Open a page with this body and the script of the console."""

    async def answer(route: Route) -> None:
        html = f"<!doctype html><body>{body}<script>{FAKES}</script><script>{SCRIPT}</script>"
        await route.fulfill(content_type="text/html; charset=utf-8", body=html)

    await page.route(f"{ORIGIN}/**", answer)
    await page.goto(f"{ORIGIN}/page")


async def press(page: Page, key: str, code: str = "", *, repeat: bool = False) -> None:
    """Dispatch a keydown to the focused element, with the `key` and `code` of any layout."""
    await page.evaluate(
        "([key, code, repeat]) => document.activeElement.dispatchEvent("
        "new KeyboardEvent('keydown', {key, code, repeat, bubbles: true, cancelable: true}))",
        [key, code, repeat],
    )


async def done(page: Page) -> Any:
    """Return the ids of the clicked elements."""
    return await page.evaluate("window.done")


async def test_held_key_acts_once_but_keeps_moving_over_rows(page: Page) -> None:
    await load(page, KEYS)
    for repeat in (False, True, True):
        await press(page, "a", "KeyA", repeat=repeat)
    assert await done(page) == ["approve"]
    for repeat in (False, True, True):
        await press(page, "j", "KeyJ", repeat=repeat)
    assert await page.evaluate("document.activeElement.id") == "row3"


async def test_held_letter_repeats_in_a_text_field(page: Page) -> None:
    await load(page, KEYS)
    await page.focus("#text")
    for _ in range(3):
        await page.keyboard.down("b")  # the second and third are repeats
    await page.keyboard.down("Enter")
    await page.keyboard.down("Enter")
    assert await page.input_value("#text") == "bbb\n\n"


async def test_held_enter_presses_a_button_once(page: Page) -> None:
    await load(page, KEYS)
    await page.focus("#save")
    for _ in range(3):
        await page.keyboard.down("Enter")
    assert await done(page) == ["save"]


async def test_keys_work_in_the_russian_layout(page: Page) -> None:
    await load(page, KEYS)
    for key, code in (("ъ", "BracketRight"), ("х", "BracketLeft"), ("ф", "KeyA"), ("ж", "Semicolon")):
        await press(page, key, code)
    assert await done(page) == ["next", "before", "approve"]


async def test_after_a_prefix_key_only_its_second_keys_work(page: Page) -> None:
    await load(page, KEYS)
    for key in ("g", "s", "g", "j"):
        await press(page, key)
    assert await done(page) == []
    assert await page.evaluate("document.activeElement === document.body")
    for key in ("g", "q", "s"):
        await press(page, key)
    assert await done(page) == ["queue", "save"]


async def test_decision_is_sent_once(page: Page) -> None:
    await load(page, "<form data-decides id=first><button>Решить</button></form><form id=other></form>")
    sent = await page.evaluate(
        """async () => {
            const form = document.getElementById("first"), sent = [];
            document.addEventListener("submit", (one) => { one.preventDefault(); sent.push(one.target.id); });
            const emit = (name) => form.dispatchEvent(
                new CustomEvent(name, {detail: {ctx: {sourceElement: form}}, bubbles: true}));
            form.requestSubmit();
            form.requestSubmit(); // immediately: a double press
            emit("htmx:before:request");
            await new Promise((done) => setTimeout(done, 350));
            form.requestSubmit(); // the response has not arrived
            document.getElementById("other").requestSubmit();
            emit("htmx:finally:request");
            form.requestSubmit();
            return sent;
        }"""
    )
    assert sent == ["first", "other", "first"]


async def test_replaced_form_can_be_sent_while_the_former_decision_is_pending(page: Page) -> None:
    await load(page, "<main><form data-decides id=first></form></main>")
    sent = await page.evaluate(
        """async () => {
            const sent = [], first = document.getElementById("first");
            document.addEventListener("submit", (one) => { one.preventDefault(); sent.push(one.target.id); });
            first.requestSubmit();
            first.dispatchEvent(
                new CustomEvent("htmx:before:request", {detail: {ctx: {sourceElement: first}}, bubbles: true}));
            await new Promise((done) => setTimeout(done, 350));
            document.querySelector("main").innerHTML = "<form data-decides id=second></form>";
            document.getElementById("second").requestSubmit();
            return sent;
        }"""
    )
    assert sent == ["first", "second"]


async def streams(page: Page, count: int) -> Any:
    """Wait for `count` opened streams; return the parameter `after` and the state of each."""
    await page.wait_for_function("(count) => window.streams.length >= count", arg=count)
    return await page.evaluate("streams.map((one) => [one.url.searchParams.get('after'), one.readyState])")


async def emit(page: Page, event: dict[str, Any], position: str) -> None:
    """Send an event through the newest stream."""
    await page.evaluate("([event, at]) => streams.at(-1).emit(event.type, event, at)", [event, position])


async def test_partial_swap_keeps_the_stream_and_the_count(page: Page) -> None:
    await load(page, bar('data-live="appeal.opened"') + '<p id="part"></p>')
    await streams(page, 1)
    await emit(page, {"type": "appeal.opened", "subject_id": "1", "data": {}}, "0.1")
    await page.evaluate("document.getElementById('part').textContent = 'found'; swapped(); swapped();")
    await emit(page, {"type": "appeal.opened", "subject_id": "2", "data": {}}, "0.2")
    assert await page.inner_text("[data-live-show]") == "Новых: 2"
    assert await page.evaluate("[streams.length, tickets]") == [1, 1]
    await page.evaluate("document.querySelector('[data-live-show]').hidden = true; swapped();")  # as after a click
    await emit(page, {"type": "appeal.opened", "subject_id": "3", "data": {}}, "0.3")
    assert await page.inner_text("[data-live-show]") == "Новых: 1"


async def test_changed_bar_opens_a_new_stream_and_quick_swaps_leave_one_open(page: Page) -> None:
    await load(page, bar('data-live="appeal.opened"'))
    await streams(page, 1)
    await emit(page, {"type": "appeal.opened", "subject_id": "1", "data": {}}, "0.7")
    await page.evaluate(
        "const bar = document.querySelector('[data-live]');"
        "bar.dataset.live = 'alert.raised'; swapped(); bar.dataset.live = 'incident.opened'; swapped();"
    )
    opened = await streams(page, 2)
    assert opened == [[None, 2], [None, 1]]
    assert await page.evaluate("streams[1].url.searchParams.get('type')") == "incident.opened"
    await page.evaluate("document.querySelector('[data-live]').remove(); swapped();")
    assert (await streams(page, 2))[1] == [None, 2]


async def test_broken_stream_continues_after_the_last_event(page: Page) -> None:
    await load(page, bar('data-live="appeal.opened"'))
    await streams(page, 1)
    await emit(page, {"type": "appeal.opened", "subject_id": "1", "data": {}}, "0.7")
    await page.evaluate("streams[0].readyState = 0; streams[0].onerror();")
    assert (await streams(page, 2))[1] == ["0.7", 1]


@pytest.mark.parametrize(("status", "opened"), [(403, 1), (422, 1), (503, 2)])
async def test_refused_stream_is_reopened_only_after_status_503(page: Page, status: int, opened: int) -> None:
    await load(page, bar('data-live="appeal.opened"'))
    await streams(page, 1)
    await page.evaluate(
        "(status) => { answers['/api/v1/stream'] = status; streams[0].readyState = 2; streams[0].onerror(); }",
        status,
    )
    await page.wait_for_function("asked.includes('/api/v1/stream')")
    await streams(page, opened)
    await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    assert len(await streams(page, opened)) == opened


async def test_bar_opens_no_stream_after_a_refused_ticket(page: Page) -> None:
    await load(page, bar('data-live="appeal.opened"'))
    await streams(page, 1)
    await page.evaluate("answers['/live/ticket'] = 403; streams[0].onerror();")
    await page.wait_for_function("over")
    before = await page.evaluate("asked.length")
    await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    assert await page.evaluate("asked.length") == before


async def test_bar_of_an_incident_counts_events_of_the_incident_and_its_appeals(page: Page) -> None:
    asks = """data-live="incident.grown,reply.failed" data-live-where='{"incident_id": ["7"]}'"""
    await load(page, bar(asks))
    await streams(page, 1)
    for subject, incident in (("1", "7"), ("2", "8")):
        await emit(
            page, {"type": "reply.failed", "subject_id": subject, "data": {"incident_id": incident}}, subject
        )
        await emit(page, {"type": "incident.grown", "subject_id": incident, "data": {}}, incident)
    assert await page.inner_text("[data-live-show]") == "Новых: 2"


async def test_f1_opens_help_from_a_field_and_question_mark_does_not(page: Page) -> None:
    sheet = """<button data-opens="keyboard-help" data-key="?">?</button><textarea id="text"></textarea>
      <dialog id="keyboard-help"><table><tbody><tr><td></td></tr></tbody></table></dialog>"""
    await load(page, sheet)
    await page.locator("#text").focus()
    await page.keyboard.press("?")
    assert await page.locator("#text").input_value() == "?"
    assert await page.locator("dialog[open]").count() == 0
    pressed = """([shiftKey, repeat]) => !document.activeElement.dispatchEvent(new KeyboardEvent(
      "keydown", {key: "F1", shiftKey, repeat, bubbles: true, cancelable: true}))"""
    assert not await page.evaluate(pressed, [True, False])  # Shift+F1 is left to the browser
    assert await page.evaluate(pressed, [False, True])
    assert await page.locator("dialog[open]").count() == 0
    await page.keyboard.press("F1")
    assert await page.locator("dialog[open]").count() == 1
    assert await page.evaluate(pressed, [False, False])
    assert await page.locator("dialog[open]").count() == 1
