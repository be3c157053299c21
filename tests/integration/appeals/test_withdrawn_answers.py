"""Withdrawal of several answers restores the clocks, and makes an earlier answer the last one again."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.integration.appeals.conftest import WEDNESDAY, AppealsScenario
from tests.integration.appeals.reply_helpers import appeal
from tests.integration.appeals.test_reply_changes import published, withdrawn

HOUR = timedelta(hours=1)
PROMISE: dict[str, Any] = {"kind": "interim", "promised_at": "2099-01-01T00:00:00+08:00"}
IN_ORDER, REVERSED = (0, 1), (1, 0)


async def running_clocks(scenario: AppealsScenario, found: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Return kind, deadline and explanation (without the result) of each running clock, sorted."""
    clocks = (await scenario.get(f"/appeals/{found['id']}/deadlines")).json()["clocks"]
    return sorted(
        (clock["kind"], clock["due_at"], clock["text"].split("→")[0])
        for clock in clocks
        if clock["kind"] != "promise" and clock["state"] == "running"
    )


@pytest.mark.parametrize("order", [IN_ORDER, REVERSED])
@pytest.mark.parametrize("first", [{}, PROMISE], ids=["final", "interim"])
async def test_withdrawal_of_two_answers_restores_the_clocks(
    scenario: AppealsScenario, order: tuple[int, int], first: dict[str, Any]
) -> None:
    found = await appeal(scenario)
    before = await running_clocks(scenario, found)
    replies = [await published(scenario, found, **first)]
    await scenario.citizen_writes("Не решено!", at=WEDNESDAY + timedelta(days=1))
    replies.append(await published(scenario, found, "Уже починили.", at=timedelta(days=1, hours=1)))
    for index in order:
        after = await withdrawn(scenario, found, replies[index])
    assert (after["status"], after["first_response_at"], after["next_response_due_at"]) == ("reopened", None, None)
    for kept in ("first_response_due_at", "resolution_due_at"):
        assert after[kept] == found[kept]
    assert await running_clocks(scenario, found) == before
    # The next answer stops the restored clocks.
    await published(scenario, found, "Починим завтра.", at=timedelta(days=1, hours=3))
    assert await running_clocks(scenario, found) == []


@pytest.mark.parametrize("order", [IN_ORDER, REVERSED])
async def test_silence_about_an_answer_is_recorded_after_later_answers_were_withdrawn(
    scenario: AppealsScenario, monkeypatch: pytest.MonkeyPatch, order: tuple[int, int]
) -> None:
    """An interim and a final reply follow the final answer; both are withdrawn."""
    found = await appeal(scenario)
    await published(scenario, found, "Починили.", kind="final")
    later = [
        await published(scenario, found, "Проверим ещё раз.", at=2 * HOUR, **PROMISE),
        await published(scenario, found, "Проверили, всё в порядке.", at=3 * HOUR, kind="final"),
    ]
    for index in order:
        after = await withdrawn(scenario, found, later[index])
    assert (after["status"], after["feedback_kind"]) == ("answered", None)
    silent_after = datetime.fromisoformat(after["feedback"][0]["silent_after"])
    monkeypatch.setattr("shared.clock.now", lambda: silent_after + HOUR)
    await scenario.handle_schedule("record-silence")
    silent = await scenario.appeal(found["id"])
    assert silent["feedback_kind"] == "silence"
    assert [one["kind"] for one in silent["feedback"]] == ["silence", None]
