"""Use an installation: import a region with pages, write as citizens, and reply."""

import csv
import io
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tests.containers.api import wait_until
from tests.containers.engine import StepFailedError
from tests.containers.installation import Installation

_REGION = Path(__file__).parents[2] / "cli" / "demo" / "region.csv"
_TOKEN_FIELDS = ("kind", "token", "application_key", "application_secret_key", "session_secret_key")
_COLUMNS = (
    *("code", "kind", "sphere", "sphere_2", "sphere_3", "municipality", "parent", "name", "short_name"),
    *("vk_id", "vk_screen_name", "ok_id", "ok_screen_name"),
)
_FOLLOWED = {"long_poll", "discussions_poll"}


def connect_region(installation: Installation) -> tuple[int, int]:
    """Import organisations and pages, and add the networks' tokens. Return the numbers of both."""
    moderator = installation.moderator
    rows = list(csv.DictReader(io.StringIO(_REGION.read_text(encoding="utf-8"))))
    file = io.StringIO()
    writer = csv.DictWriter(file, _COLUMNS, extrasaction="ignore")
    writer.writeheader()
    for row in rows:
        row |= dict(zip(("sphere", "sphere_2", "sphere_3"), row["spheres"].split(";"), strict=False))
        for network in installation.networks.values():
            if row[network.name]:
                body = {"name": row["short_name"], "screen_name": row[network.name], "description": row["name"]}
                row[f"{network.name}_screen_name"] = row[network.name]
                row[f"{network.name}_id"] = network.json("POST", "/pages", json=body)["id"]
        writer.writerow(row)
    content = file.getvalue().encode()
    moderator.call("POST", "/api/v1/organisations/import", content=content, headers={"Content-Type": "text/csv"})
    pages = {(page["network"], str(page["external_id"])): page["id"] for page in moderator.every("/pages")}
    for network in installation.networks.values():
        for token in network.json("GET", "/tokens")["items"]:
            page = None if token.get("page") is None else pages[network.name, str(token["page"])]
            body = {"network": network.name, "page_id": page, **{name: token.get(name) for name in _TOKEN_FIELDS}}
            moderator.post("/sources/tokens", {name: value for name, value in body.items() if value is not None})
    wait_until(lambda: _all_followed(moderator.every("/sources")), "ingest follows all pages", seconds=180)
    return len(rows), len(pages)


def _all_followed(sources: Iterable[dict[str, Any]]) -> bool:
    return all(
        _FOLLOWED & {source["kind"] for source in page["sources"] if source["last_success_at"]} for page in sources
    )


@dataclass(frozen=True)
class Flow:
    """The result of one run of messages and replies."""

    written: int
    opened_seconds: float
    published_seconds: float
    called_again: dict[str, int]

    def __str__(self) -> str:
        again = f"; calls repeated: {self.called_again}" if self.called_again else ""
        return (
            f"{self.written} written, all appeals open {self.opened_seconds:.0f} s after the last message, all "
            f"replies published {self.published_seconds:.0f} s after the last one, each once{again}"
        )


def run_flow(
    installation: Installation,
    per_network: int,
    *,
    while_writing: Callable[[], None] | None = None,
    while_replying: Callable[[], None] | None = None,
    until_done: Callable[[], None] | None = None,
) -> Flow:
    """Write messages in both networks and reply to each; check that nothing is lost or duplicated.

    `while_writing` and `while_replying` are called once in the middle; while `until_done` runs, messages are
    written. Raises StepFailedError for a message without exactly one appeal, or a reply that is not exactly once
    in its thread.
    """
    moderator, mark = installation.moderator, uuid.uuid4().hex[:8]
    moderator.called_again.clear()
    pages = {
        name: [str(page["external_id"]) for page in moderator.every("/pages", network=name)]
        for name in installation.networks
    }
    written: dict[str, tuple[str, str, Any]] = {}  # text: network, page, thread

    def write(number: int) -> None:
        for name, network in installation.networks.items():
            page = pages[name][number % len(pages[name])]
            text = f"Когда починят фонари на улице Бабушкина? Третий день не горят. {mark} {name}{number:03d}"
            written[text] = (name, page, network.write(page, text)["thread"])

    for number in range(per_network):
        write(number)
        if while_writing is not None and number == per_network // 2:
            while_writing()
    if until_done is not None:
        with ThreadPoolExecutor(1) as executor:
            work = executor.submit(until_done)
            while not wait([work], timeout=3).done:
                write(len(written))
        work.result()
    last = time.monotonic()
    appeals = wait_until(
        lambda: _appeals(installation, mark, len(written)), f"{len(written)} appeals", seconds=240
    )
    opened = time.monotonic() - last
    if set(appeals) != set(written):
        raise StepFailedError(
            f"appeals for other texts than the written ones: {sorted(set(appeals) ^ set(written))[:3]}"
        )
    replies = {text: f"Здравствуйте! Бригада выехала, исправим сегодня. {text[-14:]}" for text in written}
    for number, (text, reply) in enumerate(replies.items()):
        moderator.post(f"/appeals/{appeals[text]}/replies", {"kind": "final", "text": reply})
        if while_replying is not None and number == len(replies) // 2:
            while_replying()
    last = time.monotonic()
    for text in written:
        wait_until(partial(_published, installation, appeals[text]), f"reply to {text!r} published", seconds=300)
    published = time.monotonic() - last
    _check_threads(installation, written, replies, mark)
    return Flow(len(written), opened, published, dict(moderator.called_again))


def _appeals(installation: Installation, mark: str, expected: int) -> dict[str, str] | None:
    found = list(installation.moderator.every("/appeals", q=mark))
    if len(found) > expected:
        raise StepFailedError(f"{len(found)} appeals for {expected} messages")
    return {appeal["text"]: appeal["id"] for appeal in found} if len(found) == expected else None


def _published(installation: Installation, appeal_id: str) -> bool:
    appeal = installation.moderator.get(f"/appeals/{appeal_id}")
    return bool(appeal["first_response_at"]) and all(r["status"] == "published" for r in appeal["replies"])


def _check_threads(
    installation: Installation, written: dict[str, tuple[str, str, Any]], replies: dict[str, str], mark: str
) -> None:
    found: Counter[tuple[str, str]] = Counter()
    for name, network in installation.networks.items():
        for page in {page for of, page, _ in written.values() if of == name}:
            found.update(
                (item["text"], str(item["thread"])) for item in network.replies(page) if mark in item["text"]
            )
    expected = {(replies[text], str(thread)): 1 for text, (_, _, thread) in written.items()}
    if dict(found) != expected:
        wrong = [key for key in found.keys() | expected.keys() if found[key] != expected.get(key)]
        raise StepFailedError(f"replies that are not exactly once in their thread: {wrong[:3]}")


def counts(installation: Installation) -> dict[str, int]:
    """Return the numbers of rows of the main tables."""
    tables = (
        "messages",
        "appeals",
        "replies",
        "publications",
        "organisations",
        "pages",
        "people",
        "audit",
        "events",
    )
    query = "select " + ", ".join(f"(select count(*) from {table})" for table in tables)
    return dict(zip(tables, map(int, installation.sql(query).split("|")), strict=True))
