"""Listeners of the event stream: visibility of events, bounded buffers, joining the live tail, and framing."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.webhooks.schemas.stream import StreamEndReason
from services.webhooks.stream import frames, live_tail
from services.webhooks.stream.listener import CHUNK, Listener
from services.webhooks.stream.live_tail import LiveTail
from shared import clock
from shared.auth.callers import Caller
from shared.auth.rights import Right, Role
from shared.ids import new_id
from shared.tables.common import Event

SCHOOL, DEPARTMENT = uuid4(), uuid4()
OPENED, ANSWERED = "appeal.opened", "appeal.answered"


def caller(role: Role = Role.MODERATOR, organisation_id: UUID | None = None, **more: Any) -> Caller:
    return Caller(str(uuid4()), "", role, organisation_id, right=Right.EVENTS_READ, **more)


def listener(role: Role = Role.MODERATOR, organisation_id: UUID | None = None, **more: Any) -> Listener:
    capacity = more.pop("capacity", 1000)
    return Listener(caller(role, organisation_id, **more), [OPENED], capacity=capacity)


def event(position: int = 1, kind: str = OPENED, organisation_id: UUID | None = None) -> Event:
    return Event(
        id=new_id(),
        position=position,
        type=kind,
        subject_id=new_id(),
        organisation_id=organisation_id,
        occurred_at=clock.now(),
        data={"number": position, "reason": "две\nстроки"},
    )


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (listener(), True),
        (listener(Role.EXECUTOR, SCHOOL), True),
        (listener(Role.EXECUTOR, uuid4()), False),
        (listener(Role.EXECUTOR, DEPARTMENT), False),
        (listener(Role.EXECUTOR, DEPARTMENT, include_subordinates=True), True),
        (listener(scopes=frozenset({"registry:read"})), False),
    ],
)
def test_event_is_wanted_only_by_callers_who_may_see_its_organisation(found: Listener, expected: bool) -> None:
    assert found.wants(event(organisation_id=SCHOOL), [DEPARTMENT, SCHOOL]) is expected


def test_rights_of_a_listener_are_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [listener(), listener(Role.EXECUTOR, SCHOOL)]
    monkeypatch.setattr(Caller, "rights", property(lambda _: pytest.fail("decided again")))
    assert [each.wants(event(organisation_id=SCHOOL), [SCHOOL]) for each in found] == [True, True]


def test_event_of_the_centre_is_not_wanted_by_an_organisation() -> None:
    assert not listener(Role.EXECUTOR, SCHOOL).wants(event(), ())


def test_event_of_another_type_or_subject_is_not_wanted() -> None:
    assert not listener().wants(event(kind=ANSWERED), ())
    one = event()
    of_one = Listener(caller(), [OPENED], subject_id=one.subject_id)
    assert of_one.wants(one, ())
    assert not of_one.wants(event(), ())


async def test_messages_are_taken_in_order_and_in_chunks() -> None:
    found = listener()
    for number in range(CHUNK + 1):
        found.put(number, b"%d," % number)
    assert await found.take(0) == b"".join(b"%d," % number for number in range(CHUNK))
    assert await found.take(0) == b"%d," % CHUNK
    assert await found.take(0) == b""


async def test_listener_with_a_full_buffer_refuses_messages_until_it_follows_again() -> None:
    found = listener(capacity=2)
    for position, message in enumerate((b"1", b"2", b"3"), 1):
        assert not found.is_behind
        found.put(position, message)
    assert not found.is_behind  # it can still send what waits
    assert await found.take(0) == b"12"
    found.put(4, b"4")
    assert (found.is_behind, found.reached, await found.take(0)) == (True, 2, b"")
    found.follow_from(4)
    found.put(5, b"5")
    assert (found.is_behind, found.reached, await found.take(0)) == (False, 5, b"5")


async def test_ended_listener_drops_its_messages_and_keeps_the_first_reason() -> None:
    found = listener()
    found.put(1, b"1")
    assert found.seconds_left() == float("inf")
    found.finish(StreamEndReason.SHUTDOWN)
    found.put(2, b"2")
    found.finish(StreamEndReason.UNAVAILABLE)
    assert (found.end, await found.take(0)) == (StreamEndReason.SHUTDOWN, b"")


async def test_backlog_larger_than_the_buffer_reaches_a_listener_that_reads() -> None:
    tail, found = LiveTail(), listener(capacity=2)
    assert tail.attach(found, 0, end=0)
    for position in range(1, 6):
        tail._hand_out(live_tail.RecentEvent(event(position), (), read_at=0))
    assert [found.end, found.reached, found.is_behind] == [None, 2, False]
    await found.take(0)
    tail.detach(found)
    assert not tail.attach(found, found.reached, end=None)  # more events than it has room for
    assert tail.attach(found, 3, end=None)
    assert (found.reached, found.is_behind) == (5, False)


async def test_listener_ends_when_the_token_expires() -> None:
    found = listener(expires_at=clock.now() + timedelta(minutes=1))
    found.put(1, b"1")
    assert (await found.take(0), found.end) == (b"1", None)
    late = listener(expires_at=clock.now())
    late.put(1, b"1")
    assert (await late.take(60), late.end) == (b"", StreamEndReason.TOKEN_EXPIRED)


def test_listener_behind_the_tail_must_catch_up_before_attaching(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_tail, "KEPT_SECONDS", 0.0)
    tail, first, second = LiveTail(), listener(), listener()
    assert not tail.attach(first, 10, end=None)
    assert tail.attach(first, 10, end=10)
    assert (tail.position, tail.wakeup.is_set()) == (10, True)
    assert not tail.attach(second, 9, end=9)
    assert tail.attach(second, 12, end=None)
    assert tail.position == 10
    # The listener already has events 11 and 12.
    assert [second.wants(event(position), ()) for position in (12, 13)] == [False, True]
    for each in (first, second, second):
        tail.detach(each)
    assert not tail.active
    assert tail.attach(listener(), 3, end=3)
    assert tail.position == 3


def test_event_is_one_message_with_its_position_as_id() -> None:
    found = event(position=(1 << 32) + 7)
    lines = frames.event_frame(found).decode().split("\n")
    assert [line.partition(":")[0] for line in lines] == ["event", "data", "id", "", ""]
    assert lines[0] == f"event: {OPENED}"
    assert f'"id":"{found.id}"' in lines[1]
    assert r"две\nстроки" in lines[1]
    assert lines[2] == "id: 1.7"


def test_heartbeat_is_a_comment_with_the_position() -> None:
    assert frames.heartbeat_frame(42) == b": heartbeat\nid: 0.42\n\n"


@pytest.mark.parametrize("reason", StreamEndReason)
def test_stream_end_has_a_reason_and_no_id(reason: StreamEndReason) -> None:
    written = frames.ended_frame(reason, "удалены", "0.7").decode()
    assert written.startswith(f'event: stream.ended\ndata: {{"reason":"{reason}"')
    assert "\nid:" not in written
