"""A made-up week of a region's organisations in virtual time.

No notice is sent twice or at night, each assignment of a small organisation is sent within 10 minutes of working
time, and digests contain all their notices.
"""

import json
import random
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import pytest
import time_machine

from services.webhooks.notices.recording import record_notices
from services.webhooks.notices.schedule import OFFICE_HOURS
from services.webhooks.settings import webhooks_settings
from shared import clock, encryption
from shared.events.consumer import read_after
from shared.events.outbox import NewEvent, emit
from shared.events.relay import number_committed_events
from shared.working_time import WorkingCalendar, is_working_moment, working_time_between
from tests.integration.webhooks.notice_office import Office, local
from tests.support.large_size import NOTICE_ORGANISATIONS
from tests.support.mail_server import MailServer
from tests.support.sample_events import sample_data

# A week without holidays in the region's calendar.
MONDAY = local("2026-03-16 00:00")
STEP = timedelta(minutes=10)
STEPS = 7 * 24 * 6
# The rate of the default setting: virtual time passes while letters are sent.
LETTERS_PER_MINUTE = 300
MOSCOW = ZoneInfo("Europe/Moscow")
KINDERGARTEN = WorkingCalendar(OFFICE_HOURS.zone, dict.fromkeys(range(1, 6), ((time(7), time(19)),)))
SHOP_HOURS = WorkingCalendar(MOSCOW, dict.fromkeys(range(2, 7), ((time(10), time(14)), (time(15), time(20)))))


@dataclass(frozen=True)
class Body:
    """An organisation of the week; a small one has one person, who chose immediate notices."""

    id: UUID
    calendar: WorkingCalendar
    people: tuple[UUID, ...]
    is_small: bool


@dataclass(frozen=True)
class Happening:
    """An event of the week."""

    step: int
    body: Body
    appeal_id: UUID
    event_type: str
    data: dict[str, Any]


@pytest.mark.long
async def test_notices_of_a_week_are_sent_once_in_working_time(office: Office, mail: MailServer) -> None:
    seeded = random.Random(20260302)
    with time_machine.travel(MONDAY, tick=False) as virtual:
        bodies = await _bodies(office, seeded)
        happenings = sorted(_happenings(bodies, seeded), key=lambda found: found.step)
        await _appeals(office, happenings)
        answered = {found.appeal_id for found in happenings if seeded.random() < 0.2}
        by_step: dict[int, list[Happening]] = {}
        for found in happenings:
            by_step.setdefault(found.step, []).append(found)
        sender = office.sender()
        sender._settings = office.settings.model_copy(update={"smtp_connections": 8})
        for step in range(STEPS + 3 * 24 * 6):  # until all got Sunday's notices, on Tuesday at the latest
            virtual.move_to(MONDAY + step * STEP)
            await _emit(office, by_step.get(step, []))
            # Some appeals are answered a day after they began.
            ended = {found.appeal_id for found in by_step.get(step - 24 * 6, [])} & answered
            if ended:
                await office.harness.sql("UPDATE appeals SET status = 'answered' WHERE id = ANY($1)", list(ended))
            if step % 100 == 0:  # handle the same events again, as after restoring a backup
                async with office.harness.database.write() as session:
                    await record_notices(session, await _some_events(office, seeded))
                await office.harness.sql("ANALYZE")
            virtual.shift(timedelta(seconds=61))
            if not await _is_due(office):
                continue
            while count := await sender.send_due():
                virtual.shift(timedelta(minutes=count / LETTERS_PER_MINUTE))
    notices = await office.notices()
    letters = {letter["id"]: letter for letter in await office.letters()}
    by_person = {person: body for body in bodies for person in body.people}

    # No notice or letter is sent twice.
    keys = Counter((notice["event_id"], notice["person_id"], notice["kind"]) for notice in notices)
    assert max(keys.values()) == 1
    received = Counter(UUID(hex=letter.message["Message-ID"][1:33]) for letter in mail.letters)
    assert max(received.values()) == 1
    assert received.keys() == letters.keys()
    assert {letter["status"] for letter in letters.values()} == {"sent"}

    # No letter is sent outside working time.
    for row in letters.values():
        assert is_working_moment(by_person[row["person_id"]].calendar, row["sent_at"]), row

    # Each letter shows exactly the notices that refer to it.
    sent = Counter(notice["letter_id"] for notice in notices if notice["status"] == "sent")
    for letter in mail.letters:
        shown = letter.body("html").count("Открыть обращение")
        assert shown == sent[UUID(hex=letter.message["Message-ID"][1:33])]
    assert sum(sent.values()) == sum(notice["status"] == "sent" for notice in notices)
    assert {notice["status"] for notice in notices} == {"sent", "suppressed"}
    assert {notice["reason"] for notice in notices} == {None, "settled"}

    # Each assignment of a small organisation is sent within 10 minutes of its working time.
    delays = []
    for notice in notices:
        body = by_person[notice["person_id"]]
        if not body.is_small or notice["kind"] != "assignment":
            continue
        if notice["status"] == "suppressed":
            assert notice["appeal_id"] in answered
            continue
        delays.append(working_time_between(body.calendar, notice["occurred_at"], notice["sent_at"]))
    assert max(delays) <= timedelta(minutes=10)
    assert len(delays) > NOTICE_ORGANISATIONS
    # Figures of the week, which `pytest -s` shows.
    sys.stdout.write(
        f"{len(notices)} notices, {len(letters)} letters, the largest with {max(sent.values())}; {len(delays)} "
        f"assignments of small bodies, the slowest sent after {max(delays)} of working time\n"
    )


async def _bodies(office: Office, seeded: random.Random) -> list[Body]:
    """Insert the organisations, two calendars, and people with addresses and choices."""
    calendars: list[tuple[UUID | None, WorkingCalendar]] = [(None, OFFICE_HOURS)]
    for calendar in (KINDERGARTEN, SHOP_HOURS):
        weekly = {
            str(day): [[f"{start:%H:%M}", f"{end:%H:%M}"] for start, end in intervals]
            for day, intervals in calendar.weekly.items()
        }
        calendars.append((uuid4(), calendar))
        await office.harness.sql(
            """INSERT INTO calendars (id, name, time_zone, weekly, is_default, version, created_at, updated_at)
               VALUES ($1, 'к', $2, $3, false, 1, now(), now())""",
            calendars[-1][0],
            calendar.zone.key,
            json.dumps(weekly),
        )
    bodies, organisations, people, settings = [], [], [], []
    for number in range(NOTICE_ORGANISATIONS):
        calendar_id, calendar = seeded.choice(calendars)
        is_small = number % 10 != 0
        body = Body(uuid4(), calendar, tuple(uuid4() for _ in range(1 if is_small else 3)), is_small)
        bodies.append(body)
        organisations.append((body.id, f"Организация № {number}", calendar_id))
        for place, person in enumerate(body.people):
            people.append((person, "manager" if place == 0 and not is_small else "executor", body.id))
            choices = {} if is_small else {"assignment": seeded.choice(["at_once", "digest"])}
            address = encryption.encrypt(webhooks_settings().encryption_keys, f"p{len(people)}@example.ru")
            settings.append((person, json.dumps(choices), address))
    connection = await office.harness.test_database.connect()
    try:
        await connection.executemany(
            """INSERT INTO organisations (id, name, sort_key, kind, active, version, calendar_id, created_at,
               updated_at) VALUES ($1, $2, $2, 'institution', true, 1, $3, now(), now())""",
            organisations,
        )
        await connection.executemany(
            """INSERT INTO people (id, username, full_name, role, organisation_id, include_subordinates, active,
               version, created_at, updated_at)
               VALUES ($1::uuid, 'p' || $1::uuid, 'Имя', $2, $3, false, true, 1, now(), now())""",
            people,
        )
        await connection.executemany(
            """INSERT INTO notice_settings (person_id, choices, address, address_state, version, created_at,
               updated_at) VALUES ($1, $2, $3, 'confirmed', 1, now(), now())""",
            settings,
        )
    finally:
        await connection.close()
    return bodies


def _happenings(bodies: list[Body], seeded: random.Random) -> Iterator[Happening]:
    """Yield assignments at any hour of the week, some of them followed by a warning or an escalation."""
    for body in bodies:
        for _ in range(seeded.randint(1, 2) if body.is_small else seeded.randint(2, 6)):
            appeal_id, step = uuid4(), seeded.randrange(STEPS)
            yield Happening(step, body, appeal_id, "appeal.assigned", {})
            later = step + seeded.randrange(6, 40)
            due = {"clock": "first_response", "due_at": MONDAY + timedelta(days=14)}
            if seeded.random() < 0.3:
                yield Happening(
                    later, body, appeal_id, "appeal.deadline_near", due | {"share": 0.8, "left_seconds": 1}
                )
            if seeded.random() < 0.1:
                escalation = {"step": "manager", "told": [body.people[0]]}
                yield Happening(later, body, appeal_id, "appeal.escalated", due | escalation)


async def _appeals(office: Office, happenings: list[Happening]) -> None:
    rows = {found.appeal_id: (found.appeal_id, found.body.id, MONDAY + timedelta(days=14)) for found in happenings}
    connection = await office.harness.test_database.connect()
    try:
        await connection.executemany(
            """INSERT INTO appeals (id, version, status, urgency, transfers, returns, text, route, written_at,
               opened_at, created_at, updated_at, organisation_id, first_response_due_at)
               VALUES ($1, 1, 'assigned', 'normal', 0, 0, 'СЛОВА', '{}', now(), now(), now(), now(), $2, $3)""",
            list(rows.values()),
        )
    finally:
        await connection.close()


async def _emit(office: Office, happenings: list[Happening]) -> None:
    if not happenings:
        return
    made = [
        NewEvent(
            data=sample_data(
                found.event_type, **{"id": found.appeal_id, "organisation_id": found.body.id, **found.data}
            ),
            subject_id=found.appeal_id,
            organisation_id=found.body.id,
            actor="appeals",
        )
        for found in happenings
    ]
    async with office.harness.database.write() as session:
        await emit(session, *made)
    await number_committed_events(office.harness.database)
    await office.fan_out()


async def _is_due(office: Office) -> bool:
    [row] = await office.harness.sql(
        "SELECT EXISTS (SELECT FROM notices WHERE status = 'waiting' AND letter_id IS NULL AND send_at <= $1)",
        clock.now(),
    )
    return bool(row[0])


async def _some_events(office: Office, seeded: random.Random) -> list[Any]:
    async with office.harness.database.read() as session:
        events = await read_after(session, 0, limit=10_000)
    return seeded.sample(events, min(len(events), 300))


def test_calendars_of_the_week_have_no_working_time_at_night() -> None:
    nights = [
        datetime(2026, 3, day, hour, tzinfo=OFFICE_HOURS.zone) for day in range(2, 9) for hour in range(2, 7)
    ]
    for calendar in (OFFICE_HOURS, KINDERGARTEN):
        assert not any(is_working_moment(calendar, night) for night in nights)
