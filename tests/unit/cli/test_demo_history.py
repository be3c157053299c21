"""The rows of the demo's made-up history are reproducible and consistent with each other."""

from collections import Counter
from datetime import UTC, datetime
from functools import cache
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from cli.demo import region
from cli.demo.past.history import made_up_rows
from cli.demo.past.matters import DISTRICTS, MATTERS
from cli.demo.past.region_facts import Body, OfficialPage, RegionFacts, body_quality
from services.appeals.sla.calendar_lookup import CalendarLookup
from services.appeals.sla.sla_context import SlaContext
from shared.tables.appeals import WITH_SOMEBODY_STATUSES
from shared.tables.appeals_sla import DEFAULT_ESCALATION, SlaPolicy

NOW = datetime(2026, 11, 25, 12, tzinfo=ZoneInfo("Asia/Irkutsk"))
Rows = dict[str, list[dict[str, Any]]]


def _policy(number: int, urgency: str, hours: float) -> SlaPolicy:
    start = datetime(2000, 1, 1, tzinfo=UTC)
    return SlaPolicy(
        id=UUID(int=number),
        policy_key=UUID(int=number),
        version=1,
        name=urgency,
        urgency=urgency,
        first_response_hours=hours,
        first_response_unit="working",
        resolution_hours=56,
        resolution_unit="working",
        starts_from="received",
        warn_at=[0.5, 0.8],
        escalation=dict(DEFAULT_ESCALATION),
        valid_from=start,
        created_at=start,
    )


def _region() -> RegionFacts:
    bodies = {}
    for number, one in enumerate(region.load(), 1):
        own = UUID(int=number)
        pages = [
            OfficialPage(UUID(int=1000 + 2 * number + place), own, network, str(number))
            for place, network in enumerate(sorted(one.pages))
        ]
        bodies[one.code] = Body(own, one.code, one.municipality, body_quality(one.code, 1), pages)
    return RegionFacts(
        bodies=bodies,
        topics={matter.topic: UUID(int=5000 + place) for place, matter in enumerate(MATTERS)},
        sla=SlaContext([_policy(1, "normal", 9), _policy(2, "high", 4)], {}, CalendarLookup()),
        feedback_window_hours=40,
        author=str(UUID(int=9000)),
        districts=list(DISTRICTS),
    )


def _rows(seed: int, weeks: int) -> Rows:
    return dict(made_up_rows(_region(), NOW, weeks, seed).rows)


@cache
def _history() -> Rows:
    # Built once: a few hundred appeals take a second, and tests only read the rows.
    return _rows(seed=1, weeks=4)


def _by_appeal(table: str) -> dict[UUID, list[dict[str, Any]]]:
    found: dict[UUID, list[dict[str, Any]]] = {row["id"]: [] for row in _history()["appeals"]}
    for row in _history().get(table, []):
        found[row["appeal_id"]].append(row)
    return found


def test_same_seed_gives_the_same_rows_and_another_seed_other_rows() -> None:
    once = _rows(seed=1, weeks=1)
    assert _rows(seed=1, weeks=1) == once
    assert _rows(seed=2, weeks=1)["appeals"] != once["appeals"]


def test_answered_appeals_have_stopped_clocks_and_their_replies() -> None:
    clocks, replies = _by_appeal("sla_clocks"), _by_appeal("replies")
    statuses = Counter(appeal["status"] for appeal in _history()["appeals"])
    assert {"answered", "interim", "assigned", "closed", "not_required"} <= statuses.keys()
    for appeal in _history()["appeals"]:
        own, given = clocks[appeal["id"]], replies[appeal["id"]]
        first = next((clock for clock in own if clock["kind"] == "first_response"), None)
        assert (appeal["first_response_at"] is None) == (not given)
        if given:
            assert first is not None
            assert first["stopped_at"] == appeal["first_response_at"] == given[0]["published_at"]
            assert first["on_time"] == (first["stopped_at"] <= first["due_at"])
            assert first["used_seconds"] >= 0
        if appeal["status"] == "answered":
            assert given[-1]["kind"] == "final"
            assert all(clock["state"] == "stopped" for clock in own)
            assert appeal["final_answer_at"] is not None
        if appeal["status"] in WITH_SOMEBODY_STATUSES:
            assert any(clock["state"] == "running" for clock in own)


def test_no_row_is_dated_before_its_appeal_or_in_the_future() -> None:
    promised = {"promised_at", "due_at", "first_response_due_at", "final_answer_due_at", "silent_after"}
    planned = promised | {"next_response_due_at", "resolution_due_at", "next_escalation_at", "next_warning_at"}
    opened = {appeal["id"]: appeal["written_at"] for appeal in _history()["appeals"]}
    for table, rows in _history().items():
        for row in rows:
            moments = {
                name: value
                for name, value in row.items()
                if isinstance(value, datetime) and name not in planned and name != "unextended_due_at"
            }
            assert all(value <= NOW for value in moments.values()), (table, moments)
            if (appeal_id := row.get("appeal_id")) is not None:
                assert all(value >= opened[appeal_id] for value in moments.values()), (table, moments)


def test_outcomes_of_promises_agree_with_their_replies() -> None:
    replies = {reply["id"]: reply for reply in _history()["replies"]}
    assert {promise["status"] for promise in _history()["promises"]} >= {"kept", "broken"}
    for promise in _history()["promises"]:
        assert replies[promise["reply_id"]]["promised_at"] == promise["promised_at"]
        if promise["status"] == "open":
            assert promise["promised_at"] >= NOW
        else:
            assert (promise["ended_at"] == promise["promised_at"]) == (promise["status"] == "broken")


def test_published_replies_are_messages_of_the_page_in_the_thread() -> None:
    messages = {message["id"]: message for message in _history()["messages"]}
    appeals = {appeal["id"]: appeal for appeal in _history()["appeals"]}
    assert len({(one["network"], one["external_id"]) for one in messages.values()}) == len(messages)
    published = {one["publication_id"]: one for one in messages.values() if one["publication_id"] is not None}
    for reply in _history()["replies"]:
        appeal = appeals[reply["appeal_id"]]
        if reply["origin"] == "recorded":
            assert appeal["source"] == "pos"
            continue
        shown = published[reply["publication_id"]] if reply["publication_id"] else messages[reply["message_id"]]
        assert shown["from_community"]
        assert shown["thread_key"] == messages[reply["in_reply_to"]]["thread_key"] == appeal["thread_key"]
        assert shown["text"] == reply["text"]


def test_every_week_has_the_volume_of_a_region() -> None:
    opened = [appeal["opened_at"].astimezone(NOW.tzinfo) for appeal in _history()["appeals"]]
    weeks = Counter(moment.isocalendar().week for moment in opened)
    assert all(30 <= count <= 90 for week, count in weeks.items() if week < NOW.isocalendar().week)
    assert len(weeks) == 5
