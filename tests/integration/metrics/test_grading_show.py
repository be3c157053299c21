"""A made-up week with 400 answers, of which 320 are sampled: all figures equal those of plain arithmetic."""

from fractions import Fraction
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from services.metrics.grading.sampling import Answer, draw
from tests.conftest import TestDatabase
from tests.integration.metrics.grading_week import (
    FIRST,
    PERIOD,
    SECOND,
    SHOWN_TO_GRADERS,
    THIRD,
    GradingWeek,
    grading_week,
    scores,
)

SEED = "show 6"
SIZES = {"Министерство": 250, "Район": 120, "Школа": 29, "Детский сад": 1}
# Scores of the second grader by the score of the first; each sequence is repeated.
SECOND_SCORES = {0: (0, 0, 0, 1), 1: (1, 1, 2, 1), 2: (2, 2, 2, 2, 1)}


@pytest.mark.long
async def test_grading_320_of_400_answers_gives_the_expected_figures(
    database: TestDatabase, keys_dir: Path
) -> None:
    """Two people grade 320 answers; both grade 80 of these."""
    async with grading_week(database, keys_dir, grading_second_share="0.25") as week:
        for name, answers in SIZES.items():
            await week.add_organisation(name, answers)
        sample = await week.draw(size=320, seed=SEED)
        assert (sample["answers"], sample["items"]) == (400, 320)
        drawn = await week.sampled()
        known = [Answer(r, week.organisations[name], r) for name, ids in week.replies.items() for r in ids]
        assert drawn == [(one.reply_id, one.graders_wanted) for one in draw(known, 320, SEED, 0.25)]
        assert sum(wanted for _, wanted in drawn) == 400
        # One answer of each organisation, and 316 in proportion to the rest of each:
        # 316 · 249/396, · 119/396, · 28/396, 0.
        of = {reply: name for name, ids in week.replies.items() for reply in ids}
        counts = {name: sum(of[reply] == name for reply, _ in drawn) for name in SIZES}
        assert counts == {"Министерство": 200, "Район": 96, "Школа": 23, "Детский сад": 1}
        given = await _grade_everything(week)
        await _check_agreement(week, given)
        await _check_quality(week, given, of)
        await _check_objection(week, given)


async def _grade_everything(week: GradingWeek) -> dict[UUID, list[int]]:
    """Let two people grade; return the scores of the criterion «question» by reply."""
    items = {str(row["id"]): row for row in await week.rows("SELECT id, reply_id, position FROM grading_items")}
    given: dict[UUID, list[int]] = {}
    for who in (FIRST, SECOND):
        while ids := await week.claim(who):
            shown = await week.assignments(who)
            assert {key for item in shown["items"] for key in item} == SHOWN_TO_GRADERS
            assert not [name for name in SIZES if name in str(shown)]
            for item_id in ids:
                row = items[item_id]
                score = _score(row["position"], given.get(row["reply_id"]))
                assert (await week.grade(item_id, who, question=score)).status_code == 201
                given.setdefault(row["reply_id"], []).append(score)
    (count,) = await week.rows("SELECT count(*) FROM grading_grades WHERE scores IS NOT NULL")
    assert count[0] == sum(map(len, given.values())) == 400
    assert await week.claim(THIRD) == []
    return given


def _score(position: int, first: list[int] | None) -> int:
    if first is None:
        return (2, 2, 1, 0)[position % 4]
    return SECOND_SCORES[first[0]][position // 4 % len(SECOND_SCORES[first[0]])]


async def _check_agreement(week: GradingWeek, given: dict[UUID, list[int]]) -> None:
    pairs = [(one[0], one[1]) for one in given.values() if len(one) == 2]
    assert len(pairs) == 80
    report = await week.get("grading/agreement", **PERIOD)
    found = {criterion["code"]: criterion for criterion in report["criteria"]}
    question = found["question"]
    assert (question["n"], question["agreed"]) == (80, sum(one == other for one, other in pairs))
    assert question["kappa"] == pytest.approx(float(_kappa(pairs, lambda i, j: Fraction(int(i != j)))))
    assert question["weighted_kappa"] == pytest.approx(float(_kappa(pairs, lambda i, j: Fraction(abs(i - j), 2))))
    assert question["trusted"] is True
    # All other scores are the same: agreement cannot be distinguished from chance.
    assert (found["proof"]["n"], found["proof"]["kappa"], found["proof"]["trusted"]) == (80, None, None)


def _kappa(pairs: list[tuple[int, int]], distance: Any) -> Fraction:
    """Return κ by its definition, 1 − observed ÷ expected distance. The expected distance is the mean over all
    pairs of a score of the first grader and a score of the second.
    """
    observed = sum((distance(i, j) for i, j in pairs), Fraction()) / len(pairs)
    chance = sum((distance(i, j) for i, _ in pairs for _, j in pairs), Fraction()) / len(pairs) ** 2
    return 1 - observed / chance


async def _check_quality(week: GradingWeek, given: dict[UUID, list[int]], of: dict[UUID, str]) -> None:
    body = await week.get("metrics/quality", group_by="organisation", **PERIOD)
    means = {name: [sum(s) / len(s) for reply, s in given.items() if of[reply] == name] for name in SIZES}
    expected = sum(SIZES[name] * sum(found) / len(found) for name, found in means.items()) / 400
    question = next(one for one in body["total"]["criteria"] if one["code"] == "question")
    assert (question["n"], question["mean"]) == (320, pytest.approx(expected))
    groups = {group["name"]: group["criteria"][0] for group in body["groups"]}
    assert groups["Район"]["mean"] == pytest.approx(sum(means["Район"]) / 96)
    # One graded answer is too few to show a mean.
    assert (groups["Детский сад"]["n"], groups["Детский сад"]["withheld"]) == (1, "too_few")


async def _check_objection(week: GradingWeek, given: dict[UUID, list[int]]) -> None:
    listed = await week.get("grading/items", headers=week.staff("Детский сад"), **PERIOD)
    (item,) = listed["items"]
    first = given[week.replies["Детский сад"][0]]
    assert item["scores"]["question"] == sum(first) / len(first)
    made = await week.metrics.client.post(
        f"/api/v1/grading/items/{item['id']}/objections",
        json={"ground": "Дата в ответе есть"},
        headers=week.staff("Детский сад"),
    )
    assert made.status_code == 201, made.text
    decision = {"scores": scores(question=1), "reason": "Согласны"}
    path = f"objections/{made.json()['id']}/uphold"
    assert (await week.post(path, decision, FIRST, **{"If-Match": "*"})).status_code == 403
    assert (await week.post(path, decision, THIRD, **{"If-Match": "*"})).status_code == 200
    shown = await week.get(f"grading/items/{item['id']}", headers=week.staff("Детский сад"))
    assert [grade["scores"]["question"] for grade in shown["grades"]] == first
    assert (shown["item"]["scores"]["question"], shown["objection"]["status"]) == (1, "upheld")
