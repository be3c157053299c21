"""The list of discussions: full passes in parts, few calls, and errors of single discussions."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from services.ingest.networks.calls import CallError, ErrorTreatment, NoValidResponse
from services.ingest.networks.ok.cooldowns import Cooldowns
from services.ingest.networks.ok.ok_errors import treatment
from services.ingest.networks.ok.ok_payloads import MOSCOW
from services.ingest.networks.ok.reading import discussion_list, discussion_poll
from services.ingest.networks.ok.reading.discussion_list import DiscussionList
from services.ingest.networks.ok.reading.discussion_poll import DiscussionPoller
from services.ingest.networks.port import PageRef, ParsedBatch, StoreResult, ThreadState
from services.ingest.settings import IngestSettings
from shared import clock
from tests.unit.ingest.settings_keys import KEYS

GROUP = "50000000000001"
PAGE = PageRef(
    id=UUID(int=1),
    organisation_id=UUID(int=2),
    network="ok",
    external_id=GROUP,
    go_live_at=datetime(2026, 1, 1, tzinfo=UTC),
)
PAGE_SIZE = 5


def _settings(**more: Any) -> IngestSettings:
    return IngestSettings(**KEYS, **more)


def _row(number: int, age: timedelta, count: int = 1) -> dict[str, Any]:
    at = (clock.now() - age).astimezone(MOSCOW)
    return {
        "object_id": str(number),
        "object_type": "GROUP_TOPIC",
        "ref_objects": [{"type": "GROUP", "id": GROUP}],
        "last_activity_date": at.strftime("%Y-%m-%d %H:%M:%S"),
        "total_comments_count": count,
    }


@dataclass
class FakeApi:
    """The network: `rows` is the list; calls are recorded; `failure` returns the error of a call, if any."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    failure: Callable[[str], Exception | None] = lambda _: None
    pages: list[str | None] = field(default_factory=list)
    read: list[str] = field(default_factory=list)
    anchors: list[str | None] = field(default_factory=list)

    async def discussions(self, types: str, anchor: str | None) -> tuple[list[Any], str | None]:
        """Return a page of the list, and the next anchor."""
        self.pages.append(anchor)
        if (error := self.failure(f"page {anchor}")) is not None:
            raise error
        start = int(anchor or 0)
        rows = self.rows[start : start + PAGE_SIZE]
        return rows, str(start + PAGE_SIZE) if start + PAGE_SIZE < len(self.rows) else None

    async def comments(self, page: PageRef, place: str, anchor: str | None) -> tuple[ParsedBatch, str | None]:
        """Return no comments of a discussion, or raise its error."""
        self.read.append(place)
        self.anchors.append(anchor)
        if (error := self.failure(place)) is not None:
            raise error
        return ParsedBatch(), "end"

    async def comments_with_deletions(
        self, page: PageRef, place: str, count: int, feed: Any
    ) -> tuple[ParsedBatch, str | None]:
        """Do the same as `comments`, from the first comment."""
        return await self.comments(page, place, None)

    async def readable_topics(self, pages: dict[str, PageRef]) -> list[tuple[PageRef, ParsedBatch]]:
        """Return no topics."""
        return []


@dataclass
class FakeThreadStates:
    """An in-memory store of thread states and reported errors, with the only page of the registry."""

    kept: dict[str, ThreadState] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    # Threads with a text that may be outdated.
    unsettled: set[str] = field(default_factory=set)

    async def thread_states(self, keys: list[str]) -> dict[str, ThreadState]:
        """Return how far each thread was read."""
        return {key: self.kept[key] for key in keys if key in self.kept}

    async def threads_with_other_count(self, counts: dict[str, int]) -> dict[str, int]:
        """Return no threads: all stored counts equal those of the network."""
        return {}

    async def store(self, page: PageRef, source: str, parsed: ParsedBatch, **more: Any) -> StoreResult:
        """Store the states of threads; clear those of unsettled ones."""
        marks = more.get("thread_states", ())
        unsettled = frozenset(mark.thread_key for mark in marks if mark.thread_key in self.unsettled)
        for mark in marks:
            key = mark.thread_key
            self.kept[key] = replace(mark, marker=None, cursor=None) if key in unsettled else mark
        return StoreResult(unsettled_threads=unsettled)

    def report_success(self, page: PageRef, source: str) -> None:
        """Do nothing: the tests check only failures."""

    def report_failure(self, page: PageRef, source: str, error: str) -> None:
        """Record the error."""
        self.errors.append(error)

    def pages(self, network: str) -> list[PageRef]:
        """Return the only page."""
        return [PAGE]

    def page(self, network: str, external_id: str) -> PageRef | None:
        """Return the page if the id is that of its group."""
        return PAGE if external_id == GROUP else None


def _made(wire: FakeApi, memory: FakeThreadStates, **more: Any) -> tuple[DiscussionList, DiscussionPoller]:
    settings = _settings(**more)
    made: Any = wire
    store: Any = memory
    listed = DiscussionList(made, settings)
    return listed, DiscussionPoller(made, listed, store, store, settings)


@pytest.fixture(autouse=True)
def _small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discussion_list, "PASS_PAGES", 2)
    monkeypatch.setattr(discussion_list, "TOP_PAGES", 2)
    monkeypatch.setattr(discussion_poll, "DISCUSSIONS_PER_ROUND", 4)


def _refused(place: str, code: int = 458, kind: ErrorTreatment = ErrorTreatment.CONTENT_REJECTED) -> CallError:
    return CallError("ok", "discussions.getComments", code, place, kind)


async def test_list_is_read_in_parts_most_recent_first() -> None:
    rows = [_row(n, timedelta(hours=n)) for n in range(60)] + [_row(n, timedelta(days=n)) for n in range(60, 80)]
    wire, memory = FakeApi(rows), FakeThreadStates()
    listed, polling = _made(wire, memory, ok_full_pass_days=14)
    for _ in range(40):
        await polling._round()
    assert set(wire.read) >= {str(n) for n in range(60)}
    assert wire.read[:4] == ["0", "1", "2", "3"]
    # The last requested page is the one that reaches the horizon.
    assert max(int(anchor or 0) for anchor in wire.pages) == 60
    assert listed.covers(clock.now() - timedelta(days=13))
    assert not listed.covers(clock.now() - timedelta(days=15))
    assert len(listed.of_group(GROUP, clock.now() - timedelta(hours=10, minutes=30))) == 11


async def test_unchanged_list_costs_one_call() -> None:
    wire, memory = FakeApi([_row(n, timedelta(hours=1 + n)) for n in range(30)]), FakeThreadStates()
    _, polling = _made(wire, memory)
    for _ in range(20):
        await polling._round()
    wire.pages.clear()
    wire.read.clear()
    await polling._round()
    assert (wire.pages, wire.read) == ([None], [])


async def test_closed_discussion_is_reported_and_retried_later() -> None:
    wire, memory = FakeApi([_row(n, timedelta(hours=1)) for n in range(4)]), FakeThreadStates()
    wire.failure = lambda name: _refused(name) if name == "2" else None
    _, polling = _made(wire, memory, ok_closed_retry_seconds=3_600)
    for _ in range(5):
        await polling._round()
    assert set(memory.kept) == {"ok:0", "ok:1", "ok:3"}
    assert wire.read.count("2") == 1
    assert any("приватности" in error and "обсуждение 2" in error for error in memory.errors)
    wire.failure = lambda _: None
    polling.request_check(PAGE)
    await polling._round()
    assert "ok:2" in memory.kept


@pytest.mark.parametrize("code", [3, 104, 105, 200, 220, 451, 453])
async def test_error_of_our_own_request_fails_the_round_and_closes_no_discussion(code: int) -> None:
    wire, memory = FakeApi([_row(n, timedelta(hours=1)) for n in range(2)]), FakeThreadStates()
    wire.failure = lambda name: None if name.startswith("page") else _refused("text of OK", code, treatment(code))
    _, polling = _made(wire, memory, ok_closed_retry_seconds=3_600)
    for _ in range(3):
        with pytest.raises(CallError):
            await polling._round()
    assert wire.read.count("1") == 3
    assert {f"ok discussions.getComments: error {code}: text of OK"} == set(memory.errors)
    wire.failure = lambda _: None
    await polling._round()
    assert set(memory.kept) == {"ok:0", "ok:1"}


async def test_discussions_whose_requests_are_refused_do_not_keep_others_from_being_read() -> None:
    wire, memory = FakeApi([_row(n, timedelta(hours=1 + n)) for n in range(8)]), FakeThreadStates()
    wire.failure = lambda name: _refused("No right", 200, treatment(200)) if name in {"0", "1", "2", "3"} else None
    _, polling = _made(wire, memory)
    with pytest.raises(CallError):
        await polling._round()
    await polling._round()
    assert set(memory.kept) == {"ok:4", "ok:5", "ok:6", "ok:7"}


async def test_refused_parameter_of_one_discussion_is_not_called_closed() -> None:
    wire, memory = FakeApi([_row(n, timedelta(hours=1)) for n in range(2)]), FakeThreadStates()
    wire.failure = lambda name: _refused("Invalid parameter", 100, treatment(100)) if name == "1" else None
    _, polling = _made(wire, memory)
    await polling._round()
    assert set(memory.kept) == {"ok:0"}
    (error,) = set(memory.errors)
    assert error == "Одноклассники не приняли запрос: Invalid parameter (обсуждение 1, ошибка 100)"


async def test_full_pass_resumes_after_error() -> None:
    wire, memory = FakeApi([_row(n, timedelta(hours=1 + n)) for n in range(40)]), FakeThreadStates()
    stopped = {"page 20", "page 25"}

    def failure(name: str) -> Exception | None:
        if name in stopped:
            stopped.discard(name)
            return NoValidResponse("ok", "discussions.getList", "cut")
        return None

    wire.failure = failure
    _, polling = _made(wire, memory)
    failures = 0
    for _ in range(30):
        try:
            await polling._round()
        except NoValidResponse:
            failures += 1
    assert (failures, stopped) == (2, set())
    assert len(memory.kept) == 40
    assert wire.pages.count("35") == 1


async def test_unknown_anchor_restarts_full_pass() -> None:
    wire, memory = FakeApi([_row(n, timedelta(hours=1 + n)) for n in range(40)]), FakeThreadStates()
    bad = ["page 20"]
    wire.failure = lambda name: (
        _refused(name, 100, ErrorTreatment.CLIENT_ERROR) if bad and bad[0] == name and bad.pop() else None
    )
    _, polling = _made(wire, memory)
    for _ in range(30):
        try:
            await polling._round()
        except CallError as error:
            assert error.treatment is ErrorTreatment.CLIENT_ERROR  # noqa: PT017 — the error may occur once
    assert len(memory.kept) == 40


async def test_discussion_with_a_possibly_outdated_text_is_read_again_completely_after_a_pause(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wire, memory = FakeApi([_row(1, timedelta(hours=1))]), FakeThreadStates(unsettled={"ok:1"})
    _, polling = _made(wire, memory)
    for _ in range(20):
        await polling._round()
    assert wire.read == ["1"]
    # A new comment ends the pause.
    wire.rows = [_row(1, timedelta(minutes=30), count=2)]
    for _ in range(20):
        await polling._round()
    assert wire.read == ["1"] * 2
    monkeypatch.setattr(Cooldowns, "is_active", lambda _self, _name: False)
    memory.unsettled.clear()
    for _ in range(20):
        await polling._round()
    assert wire.read == ["1"] * 3
    assert wire.anchors == [None] * 3
