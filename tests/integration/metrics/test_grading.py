"""Grading of answers: the sample, blind grading, claims, objections and the resulting figures."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
import time_machine

from services.metrics.api import metrics as metrics_api
from services.metrics.grading import claims
from services.metrics.grading.claims import claim_items
from services.metrics.grading.erasure import erase_grades
from services.metrics.grading.samples import draw_last_week, draw_sample
from services.metrics.settings import metrics_settings
from shared.auth.callers import Caller
from shared.auth.rights import Role
from shared.http.problems import Conflict, Invalid
from tests.conftest import TestDatabase
from tests.integration.metrics.grading_week import (
    FIRST,
    PERIOD,
    SECOND,
    SHOWN_TO_GRADERS,
    THIRD,
    WEEK,
    GradingWeek,
    grading_week,
    scores,
)
from tests.integration.metrics.test_sla import local


@pytest.fixture
async def week(database: TestDatabase, keys_dir: Path) -> AsyncIterator[GradingWeek]:
    """A ministry with six answers and a kindergarten with one."""
    async with grading_week(database, keys_dir, grading_minimum="2", grading_minimum_pairs="2") as found:
        await found.add_organisation("Министерство", 6)
        await found.add_organisation("Детский сад", 1)
        yield found


async def test_same_seed_and_replies_give_the_same_sample(week: GradingWeek) -> None:
    sample = await week.draw(size=4, seed="c0ffee")
    assert (sample["answers"], sample["items"], sample["graded"]) == (7, 4, 0)
    drawn = await week.sampled()
    assert week.replies["Детский сад"][0] in {reply for reply, _ in drawn}
    await week.rows("DELETE FROM grading_items")
    await week.rows("DELETE FROM grading_samples")
    await week.draw(size=4, seed="c0ffee")
    assert await week.sampled() == drawn
    others = []
    for seed in ("tea", "coffee", "milk"):
        await week.rows("DELETE FROM grading_items")
        await week.rows("DELETE FROM grading_samples")
        await week.draw(size=4, seed=seed)
        others.append(await week.sampled())
    assert any(other != drawn for other in others)


async def test_second_draw_of_a_week_returns_its_sample_or_conflicts(week: GradingWeek) -> None:
    first = await week.post("samples", {"week": WEEK})
    again = await week.post("samples", {"week": WEEK})
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json()
    path, headers = "/api/v1/grading/samples", week.metrics.headers("moderator")
    other = await week.metrics.client.post(path, json={"week": WEEK, "seed": "another"}, headers=headers)
    assert other.status_code == 409
    listed = await week.get("grading/samples")
    assert [row["id"] for row in listed["items"]] == [first.json()["id"]]
    # The current week, which has not ended, and a week that 2025 does not have.
    for name in ("2026-W48", "2025-W53"):
        refused = await week.post("samples", {"week": name})
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/week")


async def test_size_or_seed_of_a_sample_without_the_right_to_manage_rules_is_refused(week: GradingWeek) -> None:
    for chosen in ({"size": 1}, {"seed": "mine"}):
        refused = await week.post("samples", {"week": WEEK} | chosen)
        assert refused.status_code == 403
        assert "rules:manage" in refused.json()["detail"]
    assert await week.rows("SELECT 1 FROM grading_samples") == []


async def test_sample_without_a_size_is_refused_while_samples_are_off(week: GradingWeek) -> None:
    off = metrics_settings().model_copy(update={"grading_sample_size": 0})
    async with week.metrics.service.database.write() as session:
        with pytest.raises(Invalid) as refused:
            await draw_sample(session, off, "x", WEEK)
        assert [error.pointer for error in refused.value.errors] == ["/size"]
        _, is_new = await draw_sample(session, off, "x", WEEK, size=1)
    assert is_new


async def test_week_is_not_drawn_before_the_replies_of_sunday_are_read(week: GradingWeek) -> None:
    with time_machine.travel(local("11-23 23:59"), tick=False):
        async with week.metrics.service.database.write() as session:
            sample = await draw_last_week(session, metrics_settings())
            assert (sample and sample.week) == "2026-W46"
            with pytest.raises(Invalid, match="less than a day ago"):
                await draw_sample(session, metrics_settings(), "x", WEEK)
    with time_machine.travel(local("11-24 00:00"), tick=False):
        async with week.metrics.service.database.write() as session:
            sample = await draw_last_week(session, metrics_settings())
            assert (sample and sample.week) == WEEK


async def test_scheduled_sample_is_drawn_once_for_the_last_week(week: GradingWeek) -> None:
    jobs = week.metrics.service.jobs
    assert jobs is not None
    _, draw = jobs.schedules["draw-grading-sample"]
    for _ in range(2):
        await draw()
    (sample,) = await week.rows("SELECT week, answers, created_by FROM grading_samples")
    assert tuple(sample) == (WEEK, 7, "metrics")
    off = metrics_settings().model_copy(update={"grading_sample_size": 0})
    async with week.metrics.service.database.write() as session:
        assert await draw_last_week(session, off) is None


async def test_sample_has_only_answers_of_the_week_under_the_organisation_that_gave_them(
    week: GradingWeek,
) -> None:
    others: dict[str, dict[str, Any]] = {
        "recorded": {"origin": "recorded"},
        "draft": {"status": "draft"},
        "erased": {"text": ""},
        "sunday before": {"published_at": local("11-15 23:59")},
        "monday after": {"published_at": local("11-23 00:00")},
    }
    for name, changes in others.items():
        await week.add_organisation(name, 1, **changes)
    await week.add_organisation("Последняя минута", 1, published_at=local("11-22 23:59"), kind="interim")
    moved = week.replies["Детский сад"][0]
    # After the answer the appeal goes to another organisation; the kindergarten's answer is still graded.
    await week.rows(
        """INSERT INTO assignments (id, appeal_id, at, kind, to_organisation_id, actor)
           SELECT $1, appeal_id, published_at + interval '1 hour', 'transferred', $2, 'x'
           FROM replies WHERE id = $3""",
        uuid4(), week.organisations["Министерство"], moved,
    )  # fmt: skip
    # This appeal was with the centre when it was answered, so it is not sampled.
    await week.rows(
        """INSERT INTO assignments (id, appeal_id, at, kind, from_organisation_id, actor)
           SELECT $1, appeal_id, published_at - interval '1 minute', 'returned', $2, 'x'
           FROM replies WHERE id = $3""",
        uuid4(), week.organisations["Министерство"], week.replies["Министерство"][0],
    )  # fmt: skip
    # The reply is older than the assignment to its organisation; later the appeal went to another organisation.
    early = week.replies["Министерство"][1]
    await week.rows(
        """UPDATE assignments SET at = at + interval '1 day'
           WHERE appeal_id = (SELECT appeal_id FROM replies WHERE id = $1)""",
        early,
    )
    await week.rows(
        """UPDATE appeals SET organisation_id = $1
           WHERE id = (SELECT appeal_id FROM replies WHERE id = $2)""",
        week.organisations["Детский сад"], early,
    )  # fmt: skip
    sample = await week.draw()
    rows = await week.rows("SELECT reply_id, organisation_id FROM grading_items")
    assert {row["reply_id"]: row["organisation_id"] for row in rows} == {
        **dict.fromkeys(week.replies["Министерство"][1:], week.organisations["Министерство"]),
        moved: week.organisations["Детский сад"],
        week.replies["Последняя минута"][0]: week.organisations["Последняя минута"],
    }
    assert sample["answers"] == 7


async def test_grader_sees_text_and_rubric_but_not_the_organisation(week: GradingWeek) -> None:
    await week.draw()
    ids = await week.claim(count=2)
    assert await week.assignments(SECOND) == {"items": [], "rubrics": []}
    found = await week.assignments()
    assert [item["item_id"] for item in found["items"]] == ids
    item = found["items"][0]
    assert item["question"] == ["Когда починят фонарь? Звоните [телефон], [имя]"]
    assert item["answer"] == "Здравствуйте! Фонарь починят 25 ноября. Вопрос задал [имя]."
    (rubric,) = found["rubrics"]
    assert item["rubric_version"] == rubric["version"] == 1
    assert item["criteria"] == list(scores())
    assert set(item) == SHOWN_TO_GRADERS
    for hidden in (*week.organisations, *map(str, week.organisations.values()), "vk"):
        assert hidden not in str(found)


async def test_second_grader_never_sees_the_first_grade(week: GradingWeek) -> None:
    await week.rows("UPDATE replies SET status = 'withdrawn' WHERE id <> $1", week.replies["Детский сад"][0])
    await week.draw()
    await week.rows("UPDATE grading_items SET graders_wanted = 2")
    (item_id,) = await week.claim()
    assert (await week.grade(item_id, comment="первая оценка", question=0)).status_code == 201
    # The item is not offered to its first grader again, and no grade is shown until the last one is given.
    assert await week.claim() == []
    assert await week.claim(SECOND) == [item_id]
    seen = [
        await week.assignments(SECOND),
        await week.get("grading/items", **PERIOD),
        await week.get("grading/samples"),
        await week.get("metrics/quality", group_by="criterion", **PERIOD),
        await week.get("grading/agreement", **PERIOD),
        await week.get("grading/hints", **PERIOD),
    ]
    assert "первая оценка" not in str(seen)
    assert seen[1]["items"] == []
    assert (seen[2]["items"][0]["graded"], seen[3]["total"]["graded"]) == (0, 0)
    assert {criterion["n"] for criterion in seen[4]["criteria"]} == {0}
    for headers in (week.metrics.headers("moderator"), week.staff("Детский сад")):
        answer = await week.metrics.client.get(f"/api/v1/grading/items/{item_id}", headers=headers)
        assert answer.status_code == 404
    assert await week.claim(THIRD) == []
    assert (await week.grade(item_id, SECOND, question=1)).status_code == 201
    shown = await week.get(f"grading/items/{item_id}", headers=week.staff("Детский сад"))
    assert [grade["scores"]["question"] for grade in shown["grades"]] == [0, 1]
    assert shown["grades"][0]["comment"] == "первая оценка"
    assert shown["item"]["scores"] == scores() | {"question": 0.5}
    assert not {FIRST, SECOND} & set(str(shown).replace("'", " ").split())


async def test_grade_without_a_claim_or_a_score_and_second_grade_are_refused(week: GradingWeek) -> None:
    await week.draw()
    (item_id,) = await week.claim(count=1)
    assert (await week.grade(item_id, SECOND)).status_code == 409
    for given, pointer in (
        ({"question": 2}, "/scores/action_or_date"),
        (scores() | {"rank": 1}, "/scores/rank"),
        (scores(question=3), "/scores/question"),
    ):
        refused = await week.post(f"items/{item_id}/grades", {"scores": given})
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, pointer), refused.text
    key = {"Idempotency-Key": "one"}
    body = {"scores": scores()}
    first = await week.post(f"items/{item_id}/grades", body, **key)
    again = await week.post(f"items/{item_id}/grades", body, **key)
    assert (first.status_code, again.status_code, again.json()) == (201, 201, first.json())
    assert (await week.grade(item_id)).status_code == 409
    assert (await week.grade(str(uuid4()))).status_code == 404


async def test_interim_answer_is_not_graded_by_criteria_of_final_answers(week: GradingWeek) -> None:
    await week.add_organisation("Лицей", 1, kind="interim")
    await week.draw()
    await week.claim()
    item = next(item for item in (await week.assignments())["items"] if item["kind"] == "interim")
    assert item["criteria"] == [code for code in scores() if code != "proof"]
    refused = await week.grade(item["item_id"])
    assert refused.json()["errors"][0]["pointer"] == "/scores/proof"


async def test_graders_claim_different_answers_and_expired_claims_go_to_the_next_grader(
    week: GradingWeek,
) -> None:
    await week.draw(size=4)
    mine = await week.claim(count=3)
    theirs = await week.claim(SECOND)
    rows = await week.rows("SELECT id, graders_wanted FROM grading_items")
    once = {str(row["id"]) for row in rows if row["graders_wanted"] == 1}
    assert (len(once), len(rows)) == (3, 4)
    assert {*mine} | {*theirs} == {str(row["id"]) for row in rows}
    assert not {*mine} & {*theirs} & once
    await week.rows(
        "UPDATE grading_grades SET claimed_until = now() - interval '1 minute' WHERE grader = $1", FIRST
    )
    taken = await week.claim(THIRD)
    assert {*mine} & once <= {*taken}
    assert (await week.assignments())["items"] == []
    late = next(item_id for item_id in taken if item_id in mine)
    assert (await week.grade(late)).status_code == 409
    assert (await week.grade(late, THIRD)).status_code == 201


async def test_expired_claim_that_nobody_else_took_still_allows_the_grade(week: GradingWeek) -> None:
    await week.draw()
    item_id, *_ = await week.claim(count=1)
    await week.rows("UPDATE grading_grades SET claimed_until = now() - interval '1 minute'")
    assert (await week.grade(item_id)).status_code == 201


async def test_concurrent_claims_never_exceed_the_number_of_graders_wanted(week: GradingWeek) -> None:
    await week.draw()
    people = [str(UUID(int=number)) for number in range(201, 206)]
    for who in people:
        # The claim of an unregistered person is refused, so register everybody first with other requests.
        assert await week.assignments(who) == {"items": [], "rubrics": []}
        await week.post("samples", {"week": WEEK}, who)

    async def claim(who: str) -> None:
        caller = Caller(who, "", Role.ANALYST, None)
        async with week.metrics.service.database.write() as session:
            await claim_items(session, caller, 20, 1)

    await asyncio.gather(*(claim(who) for who in people * 2))
    rows = await week.rows(
        """SELECT graders_wanted, count(DISTINCT grader) AS people, count(*) AS claims FROM grading_items item
           JOIN grading_grades ON item_id = item.id GROUP BY item.id, graders_wanted"""
    )
    assert all(row["people"] == row["claims"] <= row["graders_wanted"] for row in rows)
    # Claims skip locked answers: one more round claims the rest.
    for who in people:
        await claim(who)
    (count,) = await week.rows(
        "SELECT (SELECT sum(graders_wanted) FROM grading_items) = (SELECT count(*) FROM grading_grades)"
    )
    assert count[0] is True


async def test_parallel_claims_of_a_person_stay_within_the_limit(
    week: GradingWeek, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "MAX_CLAIMS", 3)
    await week.draw()
    await week.assignments()
    await week.claim(count=1)

    async def claim() -> None:
        async with week.metrics.service.database.write() as session:
            await claim_items(session, Caller(FIRST, "", Role.ANALYST, None), 3, 1)

    first, second = await asyncio.gather(claim(), claim(), return_exceptions=True)
    assert {type(first), type(second)} == {type(None), Conflict}
    assert len(await week.rows("SELECT 1 FROM grading_grades")) == 3
    # Claimed answers that were erased meanwhile do not count towards the limit of claims.
    await week.rows(
        """UPDATE replies SET text = '' WHERE id IN
           (SELECT reply_id FROM grading_items item JOIN grading_grades ON item_id = item.id)"""
    )
    assert len(await week.claim()) == 3


async def test_answers_of_the_newest_sample_are_claimed_first(week: GradingWeek) -> None:
    before = local("11-11 10:00")
    await week.add_organisation("Неделей раньше", 1, published_at=before)
    await week.draw()
    await week.rows("UPDATE grading_items SET created_at = created_at + interval '1 minute'")
    await week.draw(week="2026-W46")
    rows = await week.rows("SELECT id FROM grading_items WHERE published_at = $1", before)
    assert str(rows[0]["id"]) not in await week.claim(count=7)
    assert await week.claim(count=1) == [str(rows[0]["id"])]


async def test_erased_answer_with_a_grade_counts_as_graded(week: GradingWeek) -> None:
    await week.draw()
    await week.rows("UPDATE grading_items SET graders_wanted = 2")
    graded, _ = await week.claim(count=2)
    assert (await week.grade(graded, question=1)).status_code == 201
    rows = await week.rows("UPDATE replies SET text = '' RETURNING appeal_id")
    async with week.metrics.service.database.write() as session:
        await erase_grades(session, [row["appeal_id"] for row in rows])
    (item,) = await week.rows("SELECT id, scores FROM grading_items WHERE graded_at IS NOT NULL")
    assert (str(item["id"]), json.loads(item["scores"])) == (graded, scores(question=1))


async def test_nobody_grades_an_answer_that_they_wrote_edited_or_approved(week: GradingWeek) -> None:
    wrote, approved, edited, drafted = week.replies["Министерство"][:4]
    await _edit(week, edited, "Было", 1)
    await week.rows("UPDATE reply_changes SET requested_by = $1", FIRST)
    await week.rows(
        """INSERT INTO reply_versions (id, reply_id, number, kind, text, author, created_at, saved_at)
           VALUES ($1, $2, 1, 'final', 'x', $3, now(), now())""",
        uuid4(), drafted, FIRST,
    )  # fmt: skip
    await week.rows("UPDATE replies SET author = $1 WHERE id = $2", FIRST, wrote)
    approval = json.dumps({"decided_by": FIRST})
    await week.rows("UPDATE replies SET approval = $1 WHERE id = $2", approval, approved)
    await week.draw()
    ids = [UUID(item_id) for item_id in await week.claim()]
    rows = await week.rows("SELECT reply_id FROM grading_items WHERE id = ANY($1)", ids)
    others = {reply for reply, _ in await week.sampled()} - {wrote, approved, edited, drafted}
    assert {row["reply_id"] for row in rows} == others


async def test_editor_of_an_answer_cannot_decide_an_objection_to_its_grade(week: GradingWeek) -> None:
    item_id = await _graded(week, "Детский сад", question=0)
    made = await week.metrics.client.post(
        f"/api/v1/grading/items/{item_id}/objections", json={"ground": "Нет"}, headers=week.staff("Детский сад")
    )
    await _edit(week, week.replies["Детский сад"][0], "Было", 1)
    await week.rows("UPDATE reply_changes SET requested_by = $1", SECOND)
    path, body = f"objections/{made.json()['id']}/reject", {"reason": "Даты нет"}
    assert (await week.post(path, body, SECOND, **{"If-Match": "*"})).status_code == 403
    assert (await week.post(path, body, THIRD, **{"If-Match": "*"})).status_code == 200


async def test_api_client_and_staff_of_organisations_cannot_grade(week: GradingWeek) -> None:
    await week.draw()
    for role in ("manager", "approver", "executor"):
        answer = await week.metrics.client.post(
            "/api/v1/grading/assignments", json={}, headers=week.staff("Министерство", role)
        )
        assert answer.status_code == 403
    client = Caller(str(uuid4()), "", Role.MODERATOR, None)
    with pytest.raises(Exception, match="Only people can grade"):
        async with week.metrics.service.database.write() as session:
            await claim_items(session, client, 1, 1)


async def test_answer_edited_after_the_draw_is_graded_with_the_drawn_text(week: GradingWeek) -> None:
    reply = week.replies["Детский сад"][0]
    await _edit(week, reply, "Было до выборки", 1)
    # Deleted in the network by hand, and restored.
    await _edit(week, reply, "Как в выборке", 1, kind="withdrawal")
    await week.draw()
    await _edit(week, reply, "Как в выборке", 2)
    await _edit(week, reply, "Потом", 3)
    await week.rows("UPDATE replies SET text = 'Теперь' WHERE id = $1", reply)
    await week.claim()
    answers = {item["answer"] for item in (await week.assignments())["items"]}
    assert "Как в выборке" in answers
    assert not answers & {"Было до выборки", "Потом", "Теперь"}


async def _edit(
    week: GradingWeek, reply: UUID, former: str, hour: int, hints: str | None = None, *, kind: str = "edit"
) -> None:
    await week.rows(
        """INSERT INTO reply_changes (id, reply_id, kind, status, text, former_text, reason, hints, requested_by,
           requested_at)
           VALUES ($1, $2, $6, 'applied', CASE WHEN $6 = 'edit' THEN 'новый' END, $3, 'уточнение', $4, 'x', $5)""",
        uuid4(), reply, former, hints, local(f"11-18 0{hour}:00"), kind,
    )  # fmt: skip


async def test_upheld_objection_corrects_the_scores_and_keeps_the_grades(week: GradingWeek) -> None:
    item_id = await _graded(week, "Детский сад", question=0, contact=1)
    # Only a manager of the organisation may object, and only once.
    path = f"/api/v1/grading/items/{item_id}/objections"
    body = {"ground": "Ответ есть, Иванов Пётр Петрович подтвердит"}
    for headers, status in (
        (week.staff("Министерство"), 404),
        (week.staff("Детский сад", "executor"), 403),
        (week.staff("Детский сад"), 201),
        (week.staff("Детский сад"), 409),
    ):
        answer = await week.metrics.client.post(path, json=body, headers=headers)
        assert answer.status_code == status, answer.text
    (objection,) = (await week.get("grading/objections"))["items"]
    assert (objection["ground"], objection["status"]) == ("Ответ есть, [имя] подтвердит", "open")
    assert (await week.get("grading/objections", headers=week.staff("Министерство")))["items"] == []
    corrected = {"scores": scores(contact=1), "reason": "Ответ по существу есть"}
    decide = f"objections/{objection['id']}/uphold"
    assert (await week.post(decide, corrected, SECOND)).status_code == 428
    assert (await week.post(decide, corrected, SECOND, **{"If-Match": '"9"'})).status_code == 412
    grader = await week.post(decide, corrected, FIRST, **{"If-Match": '"1"'})
    assert grader.status_code == 403
    decided = await week.post(decide, corrected, SECOND, **{"If-Match": '"1"'})
    assert (decided.status_code, decided.headers["ETag"]) == (200, '"2"'), decided.text
    assert (await week.post(decide, corrected, SECOND, **{"If-Match": '"2"'})).status_code == 409
    shown = await week.get(f"grading/items/{item_id}", headers=week.staff("Детский сад"))
    assert shown["item"]["scores"] == scores(contact=1)
    assert shown["item"]["objection"] == "upheld"
    assert shown["grades"][0]["scores"] == scores(question=0, contact=1)
    assert shown["objection"]["former_scores"] == scores(question=0, contact=1)
    assert shown["objection"]["reason"] == "Ответ по существу есть"
    assert not {FIRST, SECOND} & set(str(shown).replace("'", " ").split())
    assert (await week.get("grading/objections"))["items"] == []


async def test_rejected_objection_keeps_the_scores(week: GradingWeek) -> None:
    item_id = await _graded(week, "Детский сад", question=0)
    made = await week.metrics.client.post(
        f"/api/v1/grading/items/{item_id}/objections", json={"ground": "Нет"}, headers=week.staff("Детский сад")
    )
    rejected = await week.post(
        f"objections/{made.json()['id']}/reject",
        {"reason": "Даты нет"},
        SECOND,
        **{"If-Match": made.headers["ETag"]},
    )
    assert (rejected.status_code, rejected.json()["status"]) == (200, "rejected")
    shown = await week.get(f"grading/items/{item_id}")
    assert shown["item"]["scores"]["question"] == 0


async def test_objection_after_the_time_limit_is_refused(week: GradingWeek) -> None:
    item_id = await _graded(week, "Детский сад")
    await week.rows("UPDATE grading_items SET graded_at = $1", local("11-15 11:59"))
    late = await week.metrics.client.post(
        f"/api/v1/grading/items/{item_id}/objections", json={"ground": "Нет"}, headers=week.staff("Детский сад")
    )
    assert late.status_code == 409


async def _graded(week: GradingWeek, name: str, **given: Any) -> str:
    """Draw all answers and grade the first one of the organisation; return the id of its item."""
    await week.draw()
    await week.rows("UPDATE grading_items SET graders_wanted = 1")
    await week.claim()
    (row,) = await week.rows("SELECT id FROM grading_items WHERE reply_id = $1", week.replies[name][0])
    item_id = str(row["id"])
    assert (await week.grade(item_id, **given)).status_code == 201
    return item_id


async def test_quality_is_weighted_by_organisation_and_staff_see_only_their_own(week: GradingWeek) -> None:
    # Two of the ministry's six answers are drawn, so each represents three.
    await week.draw(size=3, seed="c0ffee")
    await week.rows("UPDATE grading_items SET graders_wanted = 1")
    await week.claim()
    rows = await week.rows("SELECT id, organisation_id FROM grading_items ORDER BY position")
    ministry = [str(row["id"]) for row in rows if row["organisation_id"] == week.organisations["Министерство"]]
    (garden,) = [str(row["id"]) for row in rows if str(row["id"]) not in ministry]
    for item_id, score in ((ministry[0], 2), (ministry[1], 1), (garden, 0)):
        assert (await week.grade(item_id, question=score)).status_code == 201
    body = await week.get("metrics/quality", group_by="organisation", **PERIOD)
    question = _criterion(body["total"], "question")
    assert (question["n"], question["mean"]) == (3, pytest.approx((3 * 2 + 3 * 1 + 0) / 7))
    assert 0 <= question["low"] < question["mean"] < question["high"] <= 2
    # Objectivity is the weighted mean of each answer's mean of question, proof and own_words.
    axes = {axis["axis"]: axis["mean"] for axis in body["total"]["axes"]}
    assert axes["objectivity"] == pytest.approx((3 * 2 + 3 * 5 / 3 + 4 / 3) / 7)
    assert set(axes) == {"objectivity", "completeness"}
    assert [(group["name"], group["graded"]) for group in body["groups"]] == [
        ("Детский сад", 1),
        ("Министерство", 2),
    ]
    alone = _criterion(body["groups"][0], "question")
    assert (alone["n"], alone["mean"], alone["withheld"]) == (1, None, "too_few")
    own = await week.get("metrics/quality", headers=week.staff("Министерство"), **PERIOD)
    assert (own["total"]["graded"], _criterion(own["total"], "question")["mean"]) == (2, 1.5)
    by_criterion = await week.get("metrics/quality", group_by="criterion", **PERIOD)
    assert [group["key"] for group in by_criterion["groups"]] == list(scores())
    listed = await week.get("grading/items", headers=week.staff("Детский сад"), **PERIOD)
    assert [item["id"] for item in listed["items"]] == [garden]
    chosen = await week.get("grading/items", organisation_id=str(week.organisations["Министерство"]), **PERIOD)
    assert {item["id"] for item in chosen["items"]} == set(ministry)
    assert (await week.get("grading/items", **{"from": "2026-11-23"}))["items"] == []


async def test_period_of_part_of_a_week_does_not_change_weights(week: GradingWeek) -> None:
    await week.draw()
    await week.rows("UPDATE grading_items SET graders_wanted = 1")
    ids = await week.claim()
    reply = week.replies["Министерство"][0]
    rows = await week.rows("SELECT id, reply_id FROM grading_items")
    first = next(str(row["id"]) for row in rows if row["reply_id"] == reply)
    garden = next(str(row["id"]) for row in rows if row["reply_id"] in week.replies["Детский сад"])
    for item_id in ids:
        assert (await week.grade(item_id, question=0 if item_id == garden else 2)).status_code == 201
    # All answers of the ministry but one move to the next day, outside the period.
    await week.rows(
        """UPDATE grading_items SET published_at = published_at + interval '1 day'
           WHERE organisation_id = $1 AND id <> $2""",
        week.organisations["Министерство"], UUID(first),
    )  # fmt: skip
    body = await week.get("metrics/quality", **{"from": "2026-11-17", "to": "2026-11-17"})
    # Both answers represent only themselves, since all answers of the week were graded.
    question = _criterion(body["total"], "question")
    assert (question["n"], question["mean"]) == (2, pytest.approx(1))


def _criterion(figures: dict[str, Any], code: str) -> dict[str, Any]:
    found: dict[str, Any] = next(criterion for criterion in figures["criteria"] if criterion["code"] == code)
    return found


async def test_hints_are_compared_with_grades_of_people(week: GradingWeek) -> None:
    ministry = week.replies["Министерство"]
    for reply, codes in ((ministry[0], ["canned_phrase"]), (ministry[1], ["canned_phrase"]), (ministry[2], [])):
        hints = "[" + ", ".join(f'{{"code": "{code}"}}' for code in codes) + "]"
        await week.rows(
            """INSERT INTO reply_versions (id, reply_id, number, kind, text, author, hints, created_at, saved_at)
               VALUES ($1, $2, 1, 'final', 'x', 'x', $3, now(), now())""",
            uuid4(), reply, hints,
        )  # fmt: skip
    # The second answer was edited before the draw: its hints are those of the edit.
    await _edit(week, ministry[1], "С шаблоном", 0, kind="withdrawal")
    await _edit(week, ministry[1], "С шаблоном", 1, hints="[]")
    await week.draw()
    await week.rows("UPDATE grading_items SET graders_wanted = 1")
    # The first and fourth were edited after the draw; the fourth had no version and gets one of its old text.
    for reply, numbers in ((ministry[0], (2,)), (ministry[3], (1, 2))):
        await _edit(week, reply, "Было", 2, hints="[]")
        for number in numbers:
            written, saved = local(f"11-{16 + number} 02:00"), local("11-18 02:05")
            await week.rows(
                """INSERT INTO reply_versions
                   (id, reply_id, number, kind, text, author, hints, created_at, saved_at)
                   VALUES ($1, $2, $3, 'final', 'x', 'x', '[]', $4, $5)""",
                uuid4(), reply, number, written, saved,
            )  # fmt: skip
    await week.claim()
    rows = {row["reply_id"]: str(row["id"]) for row in await week.rows("SELECT id, reply_id FROM grading_items")}
    for reply, score in zip(ministry[:4], (0, 1, 2, 0), strict=True):
        assert (await week.grade(rows[reply], own_words=score)).status_code == 201
    report = await week.get("grading/hints", **PERIOD)
    found = next(hint for hint in report["hints"] if hint["code"] == "canned_phrase")
    # The fourth answer was not checked, so it is not compared.
    assert (found["criterion"], found["compared"], found["flagged"], found["faulty"], found["both"]) == (
        "own_words", 3, 1, 2, 1,
    )  # fmt: skip
    assert (found["precision"]["share"], found["recall"]["share"], found["trusted"]) == (1, 0.5, None)


@pytest.mark.parametrize("path", ["metrics/quality", "grading/agreement", "grading/hints"])
async def test_slow_query_of_figures_is_cancelled_with_503(
    week: GradingWeek, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr(metrics_api, "STATEMENT_TIMEOUT_MS", 100)
    connection = await week.database.connect()
    async with connection.transaction():
        await connection.execute("LOCK TABLE grading_items IN ACCESS EXCLUSIVE MODE")
        answer = await week.metrics.client.get(f"/api/v1/{path}", headers=week.metrics.headers("moderator"))
    await connection.close()
    assert (answer.status_code, answer.json()["type"]) == (503, "/problems/unavailable")


async def test_new_rubric_does_not_apply_to_earlier_samples_and_rubrics_cannot_be_changed(
    week: GradingWeek,
) -> None:
    await week.draw()
    (first,) = (await week.get("grading/rubrics", headers=week.staff("Детский сад")))["items"]
    criteria = [criterion for criterion in first["criteria"] if criterion["code"] in {"question", "contact"}]
    headers = week.metrics.headers("moderator")
    made = await week.metrics.client.post("/api/v1/grading/rubrics", json={"criteria": criteria}, headers=headers)
    assert (made.status_code, made.json()["version"]) == (201, 2)
    assert [rubric["version"] for rubric in (await week.get("grading/rubrics"))["items"]] == [2, 1]
    await week.claim()
    assert (await week.assignments())["rubrics"] == [first]
    refused = await week.metrics.client.post(
        "/api/v1/grading/rubrics", json={"criteria": criteria * 2}, headers=headers
    )
    assert refused.status_code == 422
    connection = await week.database.connect("metrics")
    try:
        for table in ("grading_rubrics", "grading_samples"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(f"UPDATE {table} SET created_by = 'x'")
    finally:
        await connection.close()


async def test_erasure_removes_texts_and_ends_grading(week: GradingWeek) -> None:
    item_id = await _graded(week, "Детский сад", question=0)
    await week.rows("UPDATE grading_grades SET comment = 'Соседка Оля' WHERE item_id = $1", UUID(item_id))
    key = {"Idempotency-Key": "objection", **week.staff("Детский сад")}
    made = await week.metrics.client.post(
        f"/api/v1/grading/items/{item_id}/objections", json={"ground": "Соседка Оля писала"}, headers=key
    )
    waiting = next(item["item_id"] for item in (await week.assignments())["items"])
    replies = [row["id"] for row in await week.rows("UPDATE replies SET text = '' RETURNING id")]
    appeals = [str(row["appeal_id"]) for row in await week.rows("SELECT appeal_id FROM replies")]
    headers = week.metrics.service_headers("ingest")
    for number in (1, 2):
        erased = await week.metrics.client.post(
            "/internal/erasures/grades",
            json={"appeal_ids": appeals},
            headers={"Idempotency-Key": str(number)} | headers,
        )
        assert (erased.status_code, erased.json()) == (200, {"answers": len(replies)})
    dump = [
        *await week.rows("SELECT comment FROM grading_grades WHERE comment <> ''"),
        *await week.rows("SELECT ground FROM grading_objections WHERE ground <> ''"),
        *await week.rows("SELECT body FROM metrics_idempotency"),
    ]
    assert dump == []
    shown = await week.get(f"grading/items/{item_id}")
    assert (shown["answer"], shown["item"]["scores"]["question"]) == ("", 0)
    assert (await week.assignments())["items"] == []
    assert (await week.grade(waiting)).status_code == 409
    assert await week.claim(SECOND) == []
    decided = await week.post(
        f"objections/{made.json()['id']}/reject", {"reason": "Нет"}, SECOND, **{"If-Match": "*"}
    )
    assert decided.status_code == 409
