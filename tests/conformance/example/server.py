"""The example network's server: the smallest network that supports everything the port requires.

Public API, with `Authorization: Bearer <token>`; an error is `{"error": code}` with that code as HTTP status:

    GET  /changes?page=&after=&wait=   changes after a number, long-polled; 410 if they are no longer kept
    GET  /items?page=&after=&limit=    all items of a page, by number
    POST /items {page, thread, kind, text, reply_to, key}   write as the page, once per key

The control API has the form of the emulators'. Run: `EXAMPLE_PORT=… python -m tests.conformance.example.server`.
"""

import asyncio
import os
import time
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

Item = dict[str, Any]
LONGEST = {"comment": 1_000, "message": 500}


class Refused(Exception):  # noqa: N818 — an answer of the network
    """The network refuses the request with this code."""

    def __init__(self, code: int) -> None:
        super().__init__(str(code))
        self.code = code


@dataclass
class Page:
    """One page: its items, and the log of its changes."""

    tokens: set[str] = field(default_factory=set)
    items: dict[int, Item] = field(default_factory=dict)
    changes: list[dict[str, Any]] = field(default_factory=list)
    forgotten: int = 0
    closed: bool = False
    closed_threads: set[str] = field(default_factory=set)
    keys: dict[str, Item] = field(default_factory=dict)
    moved: asyncio.Event = field(default_factory=asyncio.Event)

    def record_change(self, what: str, item: Item, by: str | None = None) -> None:
        """Write a change to the log and wake the waiting readers."""
        shown = {key: value for key, value in item.items() if what != "deleted" or key != "text"}
        self.log({"id": f"{len(self.changes) + 1}", "what": what, "by": by, "item": shown})

    def log(self, change: dict[str, Any]) -> None:
        """Append to the log."""
        self.changes.append(change)
        self.moved.set()
        self.moved = asyncio.Event()

    def write(self, kind: str, author: str, text: str, **more: Any) -> Item:
        """Add a new item to the page."""
        number = len(self.items) + 1
        place = {"wall_post": str(number), "message": f"u{more['peer']}"}.get(kind) or str(more["thread"])
        if kind == "comment" and (place in self.closed_threads or int(place) not in self.items):
            raise Refused(409)
        item = {
            "number": number,
            "kind": kind,
            "thread": place,
            "author": author,
            "text": text,
            "reply_to": more.get("reply_to"),
            "attachments": more.get("attachments", []),
            "at": _now(),
        }
        self.items[number] = item
        self.record_change("new", item)
        return item


PAGES: dict[str, Page] = {}
BLOCKED: set[str] = set()
FAULTS: list[dict[str, Any]] = []
GONE: dict[str, set[int]] = defaultdict(set)
app = FastAPI()


def _now() -> int:
    return time.time_ns() // 1_000_000


def _page(request: Request, name: Any) -> Page:
    page = PAGES.get(str(name))
    token = request.headers.get("authorization", "").removeprefix("Bearer ")
    if page is None:
        raise Refused(404)
    if token not in page.tokens:
        raise Refused(401)
    if page.closed:
        raise Refused(403)
    return page


async def _fault(method: str, *kinds: str) -> None:
    for fault in [one for one in FAULTS if one.get("method") in {None, method} and one["kind"] in kinds]:
        if fault.get("next") is not None:
            fault["next"] -= 1
            if fault["next"] <= 0:
                FAULTS.remove(fault)
        if fault["kind"] == "slow":
            await asyncio.sleep(fault.get("seconds") or 1)
        else:
            raise Refused(fault.get("code") or 500)


@app.exception_handler(Refused)
async def _refused(_: Request, error: Refused) -> JSONResponse:
    return JSONResponse({"error": error.code}, error.code)


@app.get("/changes")
async def changes(request: Request, page: str, after: int, wait: float = 0) -> dict[str, Any]:
    """Return up to a hundred changes after a number; wait up to `wait` seconds if there are none."""
    await _fault("changes", "drop", "error")
    found = _page(request, page)
    if after < found.forgotten:
        raise Refused(410)
    if len(found.changes) == after and wait:
        with suppress(TimeoutError):
            await asyncio.wait_for(found.moved.wait(), wait)
        found = _page(request, page)
    return {"changes": found.changes[after : after + 100], "last": len(found.changes)}


@app.get("/items")
async def items(request: Request, page: str, after: int = 0, limit: int = 100) -> dict[str, Any]:
    """Return the items of a page after a number, and the number of its last change."""
    await _fault("items", "drop", "error")
    found = _page(request, page)
    rest = [item for number, item in found.items.items() if number > after and number not in GONE[page]]
    after = rest[:limit][-1]["number"] if rest else after
    return {"items": rest[:limit], "after": after, "more": len(rest) > limit, "last": len(found.changes)}


@app.post("/items")
async def send(request: Request) -> Item:
    """Write a comment or a message as the page."""
    body = await request.json()
    await _fault("send", "error", "drop")
    page = _page(request, body["page"])
    if len(body["text"]) > LONGEST[body["kind"]]:
        raise Refused(413)
    peer = body["thread"].removeprefix("u")
    if body["kind"] == "message" and peer in BLOCKED:
        raise Refused(451)
    known = page.keys.get(body["key"])
    if known is None:
        known = page.keys[body["key"]] = page.write(
            body["kind"], "page", body["text"], thread=body["thread"], peer=peer, reply_to=body["reply_to"]
        )
    await _fault("send", "slow", "lost_response")
    return known


@app.post("/_control/{what:path}")
async def control(what: str, request: Request) -> dict[str, Any]:  # noqa: PLR0912 — one line per control call
    """Handle a control call: citizens, staff, tokens and faults."""
    body = await request.json()
    name = str(body.get("page") or body.get("name") or "")
    page = PAGES.setdefault(name, Page()) if what == "pages" else PAGES.get(name, Page())
    item = page.items.get(int(body["id"])) if str(body.get("id", "")).isdigit() else None
    match what:
        case "pages":
            page.tokens.add(f"token-{name}-1")
            return {"id": name, "thread": page.write("wall_post", "page", "Здравствуйте!", peer="")["thread"]}
        case "tokens":
            page.tokens.add(token := f"token-{name}-{_now()}")
            return {"kind": "group", "page": name, "token": token}
        case "tokens/revoke":
            for one in PAGES.values():
                one.tokens.discard(body["token"])
        case "citizen" | "community" | "post":
            item = _write(page, what, body)
            return {"id": item["number"], "thread": item["thread"], "author": item["author"]}
        case "edit" if item:
            item["text"] = body["text"]
            page.record_change("edited", item)
        case "delete" if item:
            GONE[name].add(item["number"])
            page.record_change("deleted", item, item["author"] if body.get("by") == "author" else "page")
        case "restore" if item:
            GONE[name].discard(item["number"])
            page.record_change("restored", item)
        case "say":  # log the change unchecked: it may be repeated, out of order or unreadable
            page.log(body["change"])
        case "forget":
            page.forgotten = len(page.changes)
        case "wall":
            page.closed = body["state"] == "closed"
        case "commenting":
            (page.closed_threads.add if body["closed"] else page.closed_threads.discard)(str(body["thread"]))
        case "block":
            BLOCKED.add(str(body["author"]))
        case "faults":
            FAULTS.append(body)
        case _:
            raise Refused(404)
    return {}


def _write(page: Page, who: str, body: dict[str, Any]) -> Item:
    first = next(iter(page.items.values()))
    thread = str(body.get("thread") or first["thread"])
    author = str(body.get("author") or thread.partition("u")[2] or "17") if who == "citizen" else "page"
    kind = body.get("kind") or ("wall_post" if who == "post" else "message" if thread[0] == "u" else "comment")
    peer = author if who == "citizen" else thread.removeprefix("u")
    reply_to = body.get("in_reply_to")
    more = {"reply_to": None if reply_to is None else int(reply_to), "attachments": body.get("attachments", [])}
    return page.write(kind, author, body["text"], thread=thread, peer=peer, **more)


@app.get("/_control/{what}")
async def shown(what: str, page: str = "") -> dict[str, Any]:
    """Return pages, tokens, or the texts that a page has published."""
    if what == "tokens":
        return {"items": [{"kind": "group", "page": n, "token": t} for n, p in PAGES.items() for t in p.tokens]}
    if what == "answers":
        own = [one for one in PAGES[page].items.values() if one["author"] == "page" and one["kind"] != "wall_post"]
        return {"items": [{**one, "id": one["number"], "in_reply_to": one["reply_to"]} for one in own]}
    return {"items": [{"id": name} for name in PAGES]}


@app.delete("/_control/faults")
async def clear_faults() -> dict[str, Any]:
    """Remove all faults."""
    FAULTS.clear()
    return {}


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ["EXAMPLE_PORT"]), log_level="warning")
