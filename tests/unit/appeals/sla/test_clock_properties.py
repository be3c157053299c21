"""Properties of every clock: pauses, explanations, the order of events, and the count of minutes."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from random import Random

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from services.appeals.sla.clock_rows import segment_figures
from services.appeals.sla.deadlines import ClockEvent, ClockReading, compute_deadline, due_if_resumed, read_clock
from services.appeals.sla.explanation import explain_deadline, explain_state, explained_spans, in_minutes
from tests.unit.appeals.sla.case_table import Case, RawEvent, RawPolicy, RawTarget, read_calendars
from tests.unit.appeals.sla.minute_counter import count
from tests.unit.appeals.sla.product_clocks import calendars, events_of

CALENDARS = read_calendars()
_FIRST = datetime(2025, 12, 20, tzinfo=UTC)
_KEYS = st.sampled_from(sorted(CALENDARS))
_TARGETS = st.builds(
    RawTarget, st.integers(1, 60 * 24), st.sampled_from("wwwc"), st.sampled_from([None, None, None, 600, 1440])
)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Return an SLA clock with random events. An event may be up to five minutes earlier than the one before
    it, as if another machine had recorded it; the stop may be earlier than any of them.
    """
    start = _FIRST + timedelta(minutes=draw(st.integers(0, 120 * 1440)))
    at, events = start, [RawEvent("start", start)]
    for kind in draw(
        st.lists(st.sampled_from(["pause", "resume", "move", "policy", "merge", "extend"]), max_size=6)
    ):
        at += timedelta(minutes=draw(st.integers(-5, 2 * 1440)))
        events.append(
            RawEvent(
                kind,
                at,
                calendar=draw(_KEYS) if kind == "move" else None,
                target=draw(_TARGETS) if kind == "policy" else None,
                other=at - timedelta(minutes=draw(st.integers(0, 3 * 1440))) if kind == "merge" else None,
                minutes=draw(st.integers(1, 20 * 60)) if kind == "extend" else None,
            )
        )
    if draw(st.booleans()):
        events.append(RawEvent("stop", start + timedelta(minutes=draw(st.integers(-10, 6 * 1440)))))
    policy = RawPolicy(((None, draw(_TARGETS)),))
    return Case("any", "any", draw(_KEYS), (policy,), tuple(events), None, None)


def _counted(reading: ClockReading, until: datetime) -> timedelta:
    """Return the time that counted until the deadline; a segment ends there."""
    return sum((part.counted for part in reading.segments if part.ends <= until), timedelta())


moments = st.integers(-60, 20 * 1440)


@settings(max_examples=150)
@given(case=cases())
def test_clock_equals_the_independent_minute_count(case: Case) -> None:
    due, used = count(case, CALENDARS)
    reading = read_clock(events_of(case))
    assert reading.due_at == compute_deadline(events_of(case)).due_at == due
    if used is not None:
        assert reading.used == timedelta(minutes=used)


@given(case=cases(), answered=moments, withdrawn=moments, moment=moments)
def test_withdrawn_answer_leaves_the_clock_as_if_never_given(
    case: Case, answered: int, withdrawn: int, moment: int
) -> None:
    events = [event for event in events_of(case) if event.kind != "stopped"]
    start = events[0].at
    stopped = ClockEvent(len(events) + 1, "stopped", start + timedelta(minutes=answered))
    back = ClockEvent(len(events) + 2, "answer_withdrawn", start + timedelta(minutes=withdrawn))
    asked = start + timedelta(minutes=moment)
    assert read_clock([*events, stopped, back], asked) == read_clock(events, asked)
    assert compute_deadline([*events, stopped, back], [0.5]) == compute_deadline(events, [0.5])


@given(case=cases(), after=st.integers(0, 5 * 1440), lasts=st.integers(0, 5 * 1440))
def test_pause_never_brings_a_deadline_nearer(case: Case, after: int, lasts: int) -> None:
    events = [event for event in events_of(case) if event.kind != "stopped"]
    last = max(event.at for event in events)
    before = read_clock(events).due_at
    paused = ClockEvent(len(events) + 1, "paused", last + timedelta(minutes=after))
    resumed = ClockEvent(len(events) + 2, "resumed", paused.at + timedelta(minutes=lasts))
    during, later = read_clock([*events, paused]).due_at, read_clock([*events, paused, resumed]).due_at
    assert during in {None, before}
    if before is not None:
        assert later is not None
        assert later >= before
        assert due_if_resumed([*events, paused], resumed.at) == later


@given(case=cases(), minutes=st.integers(1, 20 * 60))
def test_extension_adds_its_time_after_the_original_deadline(case: Case, minutes: int) -> None:
    events = [event for event in events_of(case) if event.kind != "stopped"]
    before, last = read_clock(events), len(events)
    extension = timedelta(minutes=minutes)
    after = read_clock([*events, ClockEvent(last + 1, "extended", events[-1].at, extension=extension)])
    assert after.extension == before.extension + extension
    if before.due_at is None:
        assert after.due_at is None
        assert after.left == before.left + extension
    elif after.due_at is not None:
        assert after.due_at > before.due_at
        assert _counted(after, after.due_at) == _counted(before, before.due_at) + extension


@given(case=cases(), after=st.integers(0, 3 * 1440), minutes=st.integers(1, 20 * 60), key=_KEYS)
def test_deadline_does_not_depend_on_when_an_extension_is_recorded(
    case: Case, after: int, minutes: int, key: str
) -> None:
    events = [event for event in events_of(case) if event.kind != "stopped"]
    at, last = max(event.at for event in events) + timedelta(minutes=after), len(events)
    extended = ClockEvent(last + 1, "extended", at, extension=timedelta(minutes=minutes))
    others = (
        ClockEvent(last + 2, "paused", at),
        ClockEvent(last + 3, "moved", at + timedelta(hours=1), calendar=calendars()[key]),
        ClockEvent(last + 4, "resumed", at + timedelta(hours=5)),
    )
    first = read_clock([*events, extended, *others])
    later = read_clock([*events, *others, replace(extended, sequence=last + 5, at=at + timedelta(hours=9))])
    assert first == later


@given(case=cases(), minutes=moments)
def test_segments_of_an_explanation_sum_to_the_target(case: Case, minutes: int) -> None:
    events = events_of(case)
    reading = read_clock(events, events[0].at + timedelta(minutes=minutes))
    for before, after in pairwise(reading.segments):
        assert before.ends == after.begins
    if reading.segments:
        assert reading.segments[0].begins == reading.started_at
    assert reading.target is not None
    total = sum((part.counted for part in reading.segments), timedelta())
    in_time = reading.due_at is not None and reading.moment <= reading.due_at
    if in_time:
        assert total == reading.used + reading.left
        assert reading.cut_by_ceiling or total == reading.target.amount + reading.extension
    figures = segment_figures(reading)
    assert sum(part["seconds"] for part in figures if not part["planned"]) == int(reading.used.total_seconds())
    if in_time:
        assert sum(part["seconds"] for part in figures) == int(total.total_seconds())


@given(case=cases())
def test_minutes_in_the_explaining_text_sum_to_the_total(case: Case) -> None:
    reading = read_clock(events_of(case))
    spans = explained_spans(reading.segments)
    assert sum(span.minutes for span in spans) == in_minutes(sum((span.counted for span in spans), timedelta()))
    assert all(span.why_not is None or span.minutes == 0 for span in spans)
    assert " → " in explain_deadline(reading)
    assert explain_state(reading).endswith(".")


@given(case=cases(), random=st.randoms(use_true_random=False))
def test_clock_does_not_depend_on_the_order_in_which_rows_are_read(case: Case, random: Random) -> None:
    events = events_of(case)
    shuffled = list(events)
    random.shuffle(shuffled)
    assert read_clock(shuffled) == read_clock(events)


@given(case=cases(), again=st.integers(0, 6))
def test_event_recorded_twice_does_not_change_the_clock(case: Case, again: int) -> None:
    events = events_of(case)
    place = min(again, len(events) - 1)
    # Not tested with extensions: an approval is recorded once, so two events are two extensions.
    assume(events[place].kind != "extended")
    doubled = [*events[: place + 1], events[place], *events[place + 1 :]]
    numbered = [replace(event, sequence=number) for number, event in enumerate(doubled, start=1)]
    assert read_clock(numbered) == read_clock(events)


@given(case=cases(), after=st.integers(0, 3 * 1440), key=_KEYS, pauses=st.booleans())
def test_clock_does_not_depend_on_the_order_of_simultaneous_events(
    case: Case, after: int, key: str, pauses: bool
) -> None:
    """At one moment a pause or its end, a transfer and a change of policy may be applied in any order."""
    events = [event for event in events_of(case) if event.kind != "stopped"]
    at = max(event.at for event in events) + timedelta(minutes=after)
    last = len(events)
    state = ClockEvent(last + 1, "paused" if pauses else "resumed", at)
    moved = ClockEvent(last + 2, "moved", at, calendar=calendars()[key])
    policy = ClockEvent(last + 3, "policy_changed", at, target=events[0].target)
    resumed = ClockEvent(last + 4, "resumed", at + timedelta(hours=3))
    readings = [
        read_clock([*events, *(replace(event, sequence=last + 1 + n) for n, event in enumerate(order)), resumed])
        for order in ((state, moved, policy), (moved, policy, state), (policy, state, moved))
    ]
    assert readings[0].due_at == readings[1].due_at == readings[2].due_at
