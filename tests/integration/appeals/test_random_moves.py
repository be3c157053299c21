"""Random concurrent moves and assignments by eight colleagues: one owner, no lost change, consistent records.

Environment variables RANDOM_APPEALS and RANDOM_MOVES set the size of the long test: 1000 and 100000 take an hour.
"""

import asyncio
import json
import os
import random
from collections import Counter, defaultdict
from itertools import pairwise
from typing import Any

import pytest

from services.appeals.lifecycle.workflow import APPEAL_STATUSES
from services.appeals.lists import appeal_counts
from tests.integration.appeals.conftest import AppealsScenario
from tests.integration.appeals.people_helpers import Colleague, register
from tests.integration.appeals.test_appeal_matching import QUESTION

WORKERS = 8
REFUSED = {403, 404, 409, 412, 422}


async def _team(scenario: AppealsScenario) -> list[Colleague]:
    organisations = (scenario.organisation, scenario.other_organisation)
    staff = [
        await register(scenario, f"{role} {number}", role, organisation_id)
        for number, organisation_id in enumerate(organisations)
        for role in ("manager", "executor", "approver")
    ]
    moderators = [await register(scenario, f"Модератор {number}", "moderator") for number in range(2)]
    for manager in (staff[0], staff[3]):
        people = [one.ref for one in staff if one.organisation == manager.organisation]
        assert (await manager.post("/assignee-rules", {"person_ids": people})).status_code == 201
    return staff + moderators


def _step(scenario: AppealsScenario, chance: random.Random, team: list[Colleague]) -> dict[str, Any]:
    """Return the body of a random move or assignment, allowed or not."""
    body: dict[str, Any] = {}
    if chance.random() < 0.8:
        body["to"] = chance.choice(APPEAL_STATUSES)
        if chance.random() < 0.8:
            body["reason"] = "Причина"
        if body["to"] == "assigned" and chance.random() < 0.7:
            organisation_id = chance.choice((scenario.organisation, scenario.other_organisation))
            body["organisation_id"] = str(organisation_id)
    if not body or chance.random() < 0.3:
        body["assignee_id"] = chance.choice([*(one.ref for one in team), None])
    return body


def _check(appeal: dict[str, Any], events: list[tuple[str, dict[str, Any]]], team: list[Colleague]) -> None:
    by_id = {one.ref: one for one in team}
    holder = by_id[appeal["assignee"]["id"]] if appeal["assignee"] else None
    organisation = appeal["organisation"]["id"] if appeal["organisation"] else None
    entries = appeal["timeline"]
    # The assignee, if any, belongs to the organisation of the appeal or, in triage, to the centre.
    if holder is not None and appeal["status"] not in {"closed", "not_required"}:
        owner = None if appeal["status"] == "triage" else organisation
        assert (str(holder.organisation) if holder.organisation else None) == owner
    # The previous assignee of each change is the assignee of the change before.
    changes = [entry["data"] for entry in entries if entry["kind"] == "assignee_changed"]
    assert [one["previous_assignee_id"] for one in changes] == [
        None,
        *(one["assignee_id"] for one in changes[:-1]),
    ][: len(changes)]
    assert (changes[-1]["assignee_id"] if changes else None) == (holder.ref if holder else None)
    assignments = appeal["assignments"]
    assert assignments[0]["from_organisation"] is None
    assert all(before["to_organisation"] == after["from_organisation"] for before, after in pairwise(assignments))
    assert assignments[-1]["to_organisation"] == appeal["organisation"]
    moves = [entry["data"] for entry in entries if entry["kind"] == "moved"]
    assert [one["from"] for one in moves] == ["assigned", *(one["to"] for one in moves[:-1])][: len(moves)]
    assert (moves[-1]["to"] if moves else "assigned") == appeal["status"]
    # Events record the same moves as the timeline.
    emitted = [(data["from"], data["to"]) for kind, data in events if kind == "appeal.moved"]
    assert emitted == [(one["from"], one["to"]) for one in moves]
    assert [data["assignee_id"] for kind, data in events if kind == "appeal.assignee_changed"] == [
        one["assignee_id"] for one in changes
    ]


async def test_concurrent_random_moves_keep_one_owner_and_consistent_records(scenario: AppealsScenario) -> None:
    await _walk(scenario, seed=1, appeals=8, moves=160)


@pytest.mark.long
@pytest.mark.timeout(0)
async def test_many_concurrent_random_moves_keep_one_owner_and_consistent_records(
    scenario: AppealsScenario,
) -> None:
    appeals, moves = int(os.environ.get("RANDOM_APPEALS", "50")), int(os.environ.get("RANDOM_MOVES", "800"))
    await _walk(scenario, seed=2, appeals=appeals, moves=moves)


async def _walk(scenario: AppealsScenario, *, seed: int, appeals: int, moves: int) -> None:
    team = await _team(scenario)
    for number in range(appeals):
        await scenario.citizen_writes(QUESTION, author=f"a{number}", thread=f"vk:-101_{number}")
    rows = await scenario.ingest.fetch("SELECT id FROM appeals ORDER BY number")
    ids = [str(row["id"]) for row in rows]
    assert len(ids) == appeals
    opened = {appeal_id: (await scenario.appeal(appeal_id))["version"] for appeal_id in ids}
    done: Counter[str] = Counter()

    async def work(number: int) -> Counter[int]:
        chance, statuses = random.Random(seed * 100 + number), Counter[int]()
        for _ in range(moves // WORKERS):
            appeal_id, body = chance.choice(ids), _step(scenario, chance, team)
            read = await team[number].get(f"/appeals/{appeal_id}")
            # A person who cannot read the appeal, because another organisation has it, sends an outdated version.
            seen = read.json()["version"] if read.status_code == 200 else 0
            answer = await team[number].post(f"/appeals/{appeal_id}/moves", body, If_Match=f'"{seen}"')
            assert answer.status_code in REFUSED | {200}, f"{body}: {answer.text}"
            statuses[answer.status_code] += 1
            if answer.status_code == 200 and seen != answer.json()["version"]:
                done[appeal_id] += 1
        return statuses

    statuses = sum(await asyncio.gather(*(work(number) for number in range(WORKERS))), Counter())
    assert {200, 409} <= statuses.keys()
    emitted: dict[str, list[tuple[str, dict[str, Any]]]] = defaultdict(list)
    for row in await scenario.ingest.fetch(
        "SELECT subject_id, type, data::text FROM events WHERE NOT data ? 'assignment_lost' ORDER BY write_order"
    ):
        emitted[str(row["subject_id"])].append((row["type"], json.loads(row["data"])))
    for appeal_id in ids:
        appeal = await scenario.appeal(appeal_id)
        # Each accepted change raised the version once: no update was lost.
        assert appeal["version"] == opened[appeal_id] + done[appeal_id]
        _check(appeal, emitted[appeal_id], team)
    await _check_counts(scenario)


async def _check_counts(scenario: AppealsScenario) -> None:
    """Assert that the stored counts equal a recount of the appeals."""
    async with scenario.appeals.service.database.write() as session:
        assert await appeal_counts.differences(session) == []
