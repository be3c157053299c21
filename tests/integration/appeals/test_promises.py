"""Promises of interim replies: reminders, and the end of each promise as kept, moved or broken."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import time_machine

from services.appeals.promises import broken_promises, promise_reminders
from tests.integration.appeals.conftest import WEDNESDAY, AppealsScenario
from tests.integration.appeals.reply_helpers import execute
from tests.integration.appeals.test_appeal_matching import QUESTION
from tests.integration.appeals.test_organisation_calendars import calendar_on

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
# Wednesday 10:00 local time, when the tests begin, and Friday 12:00, the promised date.
MADE_AT = WEDNESDAY
PROMISED_AT = WEDNESDAY + 2 * DAY + 2 * HOUR


@pytest.fixture(autouse=True)
def moved_clock() -> Iterator[time_machine.Traveller]:
    """The clock of the service, set to Wednesday 10:00 local time and running on."""
    with time_machine.travel(WEDNESDAY, tick=True) as travelled:
        yield travelled


async def promised(
    scenario: AppealsScenario, appeal: dict[str, Any], promised_at: datetime = PROMISED_AT, *, made_at: datetime
) -> str:
    """Publish an interim reply that promises the final one for `promised_at`; return the reply's id."""
    return await published(
        scenario, appeal, "Уточним и вернёмся.", made_at, kind="interim", promised_at=promised_at.isoformat()
    )


async def published(
    scenario: AppealsScenario, appeal: dict[str, Any], text: str, at: datetime, **body: Any
) -> str:
    answer = await scenario.post(f"/appeals/{appeal['id']}/replies", {"text": text, **body})
    assert answer.status_code == 201, answer.text
    await scenario.emit_published(answer.json(), at=at, external_id=f"-101_{uuid4().int % 10**9}")
    return str(answer.json()["id"])


async def opened(scenario: AppealsScenario) -> dict[str, Any]:
    await scenario.citizen_writes(QUESTION)
    return await scenario.single_appeal()


async def record_broken(scenario: AppealsScenario) -> int:
    async with scenario.appeals.service.database.write() as session:
        return await broken_promises.record_broken_promises(session)


async def remind(scenario: AppealsScenario) -> int:
    async with scenario.appeals.service.database.write() as session:
        return await promise_reminders.remind_of_promises(session)


async def statuses(scenario: AppealsScenario) -> list[str]:
    return [promise["status"] for promise in (await scenario.single_appeal())["promises"]]


async def ends(scenario: AppealsScenario) -> list[str]:
    """Return the type of each event about promises, oldest first."""
    kinds = ("promise.made", "promise.reminded", "promise.kept", "promise.moved", "promise.broken")
    return [event["type"].removeprefix("promise.") for event in await scenario.events(*kinds)]


async def test_final_reply_by_the_date_keeps_the_promise(
    scenario: AppealsScenario, moved_clock: time_machine.Traveller
) -> None:
    appeal = await opened(scenario)
    reply_id = await promised(scenario, appeal, made_at=MADE_AT + HOUR)
    (promise,) = (await scenario.single_appeal())["promises"]
    assert (promise["status"], promise["reply_id"], promise["ended_at"]) == ("open", reply_id, None)
    moved_clock.move_to(PROMISED_AT - HOUR)
    await published(scenario, appeal, "Яма засыпана 6 марта.", PROMISED_AT)
    (promise,) = (await scenario.single_appeal())["promises"]
    assert promise["status"] == "kept"
    assert datetime.fromisoformat(promise["ended_at"]) == PROMISED_AT
    assert datetime.fromisoformat(promise["final_reply_at"]) == PROMISED_AT
    assert await ends(scenario) == ["made", "kept"]
    kinds = [entry["kind"] for entry in (await scenario.single_appeal())["timeline"]]
    assert kinds.count("promise_made") == kinds.count("promise_kept") == 1


async def test_passed_date_breaks_the_promise_once(
    scenario: AppealsScenario, moved_clock: time_machine.Traveller
) -> None:
    appeal = await opened(scenario)
    await promised(scenario, appeal, made_at=MADE_AT + HOUR)
    moved_clock.move_to(PROMISED_AT - timedelta(seconds=30))
    assert await record_broken(scenario) == 0
    moved_clock.move_to(PROMISED_AT + timedelta(seconds=1))
    assert [await record_broken(scenario), await record_broken(scenario)] == [1, 0]
    await scenario.handle_schedule("record-breaches")
    (overdue,) = await scenario.events("appeal.overdue")
    assert datetime.fromisoformat(json.loads(overdue["data"])["promised_at"]) == PROMISED_AT
    (entry,) = [found for found in (await scenario.single_appeal())["timeline"] if found["kind"] == "overdue"]
    assert entry["data"]["deadline"] == "обещано: пятница 06.03 12:00"
    late = PROMISED_AT + 3 * HOUR
    await published(scenario, appeal, "Яма засыпана 6 марта.", late)
    (promise,) = (await scenario.single_appeal())["promises"]
    assert promise["status"] == "broken"
    assert datetime.fromisoformat(promise["ended_at"]) == PROMISED_AT
    assert datetime.fromisoformat(promise["final_reply_at"]) == late
    assert await ends(scenario) == ["made", "broken"]


async def test_promise_is_shown_among_the_clocks_of_its_appeal(
    scenario: AppealsScenario, moved_clock: time_machine.Traveller
) -> None:
    appeal = await opened(scenario)
    await promised(scenario, appeal, made_at=MADE_AT + HOUR)
    moved_clock.move_to(PROMISED_AT - HOUR, tick=False)
    path = f"/appeals/{appeal['id']}/deadlines"
    first, final, promise = (await scenario.get(path)).json()["clocks"]
    assert [first["kind"], final["kind"], promise["kind"]] == ["first_response", "final_answer", "promise"]
    assert (promise["state"], promise["left_seconds"], promise["on_time"]) == ("running", 3_600, None)
    assert promise["text"] == "обещано: пятница 06.03 12:00"
    await published(scenario, appeal, "Яма засыпана 6 марта.", PROMISED_AT - HOUR)
    kept = (await scenario.get(path)).json()["clocks"][-1]
    assert (kept["state"], kept["on_time"]) == ("stopped", True)


async def test_reply_published_in_time_and_reported_later_keeps_the_promise(
    scenario: AppealsScenario, moved_clock: time_machine.Traveller
) -> None:
    appeal = await opened(scenario)
    await promised(scenario, appeal, made_at=MADE_AT + HOUR)
    moved_clock.move_to(PROMISED_AT + timedelta(minutes=2))
    assert await record_broken(scenario) == 1
    await published(scenario, appeal, "Яма засыпана 6 марта.", PROMISED_AT - timedelta(seconds=5))
    assert await statuses(scenario) == ["kept"]
    assert await ends(scenario) == ["made", "broken", "kept"]


async def test_second_interim_reply_by_the_date_moves_the_promise(
    scenario: AppealsScenario, moved_clock: time_machine.Traveller
) -> None:
    appeal = await opened(scenario)
    await promised(scenario, appeal, made_at=MADE_AT + HOUR)
    moved_clock.move_to(MADE_AT + DAY)
    later = PROMISED_AT + 7 * DAY
    await promised(scenario, appeal, later, made_at=MADE_AT + DAY)
    assert await statuses(scenario) == ["moved", "open"]
    moved_clock.move_to(later + HOUR)
    assert await record_broken(scenario) == 1
    assert await statuses(scenario) == ["moved", "broken"]


async def test_interim_reply_after_the_date_leaves_the_promise_broken(
    scenario: AppealsScenario, moved_clock: time_machine.Traveller
) -> None:
    appeal = await opened(scenario)
    await promised(scenario, appeal, made_at=MADE_AT + HOUR)
    moved_clock.move_to(PROMISED_AT + HOUR)
    # No job has recorded the promise as broken yet.
    await promised(scenario, appeal, PROMISED_AT + DAY, made_at=PROMISED_AT + HOUR)
    assert await statuses(scenario) == ["broken", "open"]
    assert await ends(scenario) == ["made", "broken", "made"]


async def test_staff_reply_in_the_network_keeps_the_promise(
    scenario: AppealsScenario, moved_clock: time_machine.Traveller
) -> None:
    question = await scenario.citizen_writes(QUESTION)
    appeal = await scenario.single_appeal()
    await promised(scenario, appeal, made_at=MADE_AT + HOUR)
    moved_clock.move_to(MADE_AT + DAY)
    await scenario.citizen_writes(
        "Яма засыпана.",
        from_community=True,
        reply_to=await scenario.external_id(question),
        at=MADE_AT + DAY,
    )
    assert await statuses(scenario) == ["kept"]


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (PROMISED_AT - 2 * DAY + 2 * HOUR, 0),  # more than a working day is left
        (PROMISED_AT - DAY + HOUR, 0),  # during lunch
        (PROMISED_AT - DAY + 2 * HOUR, 1),
        (PROMISED_AT - 9 * HOUR, 0),  # at night
    ],
)
async def test_reminder_is_sent_on_the_last_working_day_and_only_in_working_time(
    scenario: AppealsScenario, moved_clock: time_machine.Traveller, moment: datetime, expected: int
) -> None:
    appeal = await opened(scenario)
    await promised(scenario, appeal, made_at=MADE_AT + HOUR)
    moved_clock.move_to(moment)
    assert [await remind(scenario), await remind(scenario)] == [expected, 0]
    assert await ends(scenario) == ["made"] + ["reminded"] * expected


async def test_promise_of_an_organisation_on_a_day_off_does_not_delay_other_reminders(
    scenario: AppealsScenario, moved_clock: time_machine.Traveller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(promise_reminders, "BATCH", 1)
    thursday = PROMISED_AT - DAY + 2 * HOUR
    day_off: dict[str, Any] = {f"d{thursday:%Y%m%d}": []}
    for author, due in (("anna", PROMISED_AT - HOUR), ("boris", PROMISED_AT)):
        await scenario.citizen_writes(QUESTION, author=author)
        (appeal,) = [one for one in await scenario.all() if one["status"] == "assigned"]
        await promised(scenario, appeal, due, made_at=MADE_AT + HOUR)
    registry = await scenario.database.connect("registry")
    region = await registry.fetchval("SELECT id FROM calendars WHERE is_default")
    closed = await calendar_on(registry, region, "Карантин", **day_off)
    await registry.execute(
        "UPDATE organisations SET calendar_id = $1 WHERE id = $2", closed, scenario.organisation
    )
    await registry.close()
    await execute(
        scenario,
        "UPDATE promises SET organisation_id = $1 WHERE promised_at = $2",
        scenario.other_organisation,
        PROMISED_AT,
    )
    moved_clock.move_to(thursday)
    assert [await remind(scenario), await remind(scenario)] == [1, 0]


async def test_ledger_counts_promises_by_organisation_and_status(
    scenario: AppealsScenario, moved_clock: time_machine.Traveller
) -> None:
    for author, end in (("anna", "kept"), ("boris", "kept"), ("vera", "broken"), ("galina", "open")):
        await scenario.citizen_writes(QUESTION, author=author)
        (appeal,) = [one for one in await scenario.all() if one["status"] == "assigned"]
        due = PROMISED_AT if end != "open" else PROMISED_AT + 30 * DAY
        await promised(scenario, appeal, due, made_at=MADE_AT + HOUR)
        if end == "kept":
            await published(scenario, appeal, f"Готово, {author}.", MADE_AT + 2 * HOUR)
    moved_clock.move_to(PROMISED_AT + HOUR)
    assert await record_broken(scenario) == 1
    (counts,) = (await scenario.get("/promises/ledger")).json()["items"]
    assert counts == {
        "organisation": {"id": str(scenario.organisation), "name": "Школа № 1"},
        "made": 4,
        "open": 1,
        "kept": 2,
        "moved": 0,
        "broken": 1,
        "kept_share": 0.667,
    }
    before = (MADE_AT + HOUR).astimezone(UTC).isoformat()
    assert (await scenario.get("/promises/ledger", made_to=before)).json()["items"] == []
    listed = (await scenario.get("/promises", status="broken")).json()["items"]
    assert [UUID(one["organisation"]["id"]) for one in listed] == [scenario.organisation]
    assert len((await scenario.get("/promises", limit=3)).json()["items"]) == 3


async def test_promise_of_a_queued_reply_counts_for_its_organisation_after_a_transfer(
    scenario: AppealsScenario,
) -> None:
    appeal = await opened(scenario)
    body = {"text": "Уточним и вернёмся.", "kind": "interim", "promised_at": PROMISED_AT.isoformat()}
    reply = (await scenario.post(f"/appeals/{appeal['id']}/replies", body)).json()
    await scenario.ingest.execute(
        """INSERT INTO publications (id, reply_id, part, parts, page_id, organisation_id, network, kind,
           thread_key, text, on_behalf_of, status, attempts, version, created_at, updated_at)
           VALUES ($1, $2, 0, 1, $3, $4, 'vk', 'comment', 'vk:-101_1', $5, 'x', 'published', 1, 1,
           now(), now())""",
        uuid4(), UUID(reply["id"]), scenario.page, scenario.organisation, reply["text"],
    )  # fmt: skip
    transferred = await scenario.move(
        await scenario.single_appeal(),
        "assigned",
        organisation_id=str(scenario.other_organisation),
        reason="Дорога комитета",
    )
    assert transferred.status_code == 200, transferred.text
    await scenario.emit_published(reply, at=MADE_AT + HOUR)
    assert (await scenario.single_appeal())["organisation"]["id"] == str(scenario.other_organisation)
    (counts,) = (await scenario.get("/promises/ledger")).json()["items"]
    assert (counts["organisation"]["id"], counts["made"]) == (str(scenario.organisation), 1)
