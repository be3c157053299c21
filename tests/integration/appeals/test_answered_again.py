"""An appeal is answered again only on an answer that stands, whose outcome and feedback count again."""

from typing import Any

from tests.integration.appeals.conftest import WEDNESDAY, AppealsScenario
from tests.integration.appeals.reply_helpers import appeal
from tests.integration.appeals.test_feedback import HOUR, correct, says
from tests.integration.appeals.test_reply_changes import published, withdrawn

INTERIM: dict[str, Any] = {"kind": "interim", "promised_at": "2099-01-01T00:00:00+08:00"}


async def test_feedback_on_a_withdrawn_answer_is_not_corrected(scenario: AppealsScenario) -> None:
    found = await appeal(scenario)
    await published(scenario, found, "Уточним.", **INTERIM)
    final = await published(scenario, found, "Починили.", at=2 * HOUR, outcome="solved")
    reopened = await says(scenario, found, "Не решено", at=WEDNESDAY + 3 * HOUR)
    assert (reopened["status"], reopened["feedback_kind"]) == ("reopened", "not_solved")
    waits = await withdrawn(scenario, found, final)
    refused = await correct(scenario, waits, "thanks")
    assert (refused.status_code, "withdrawn" in refused.json()["detail"]) == (409, True)
    after = await scenario.appeal(found["id"])
    assert (after["status"], after["outcome"], after["feedback"][0]["kind"]) == ("reopened", None, "not_solved")


async def test_withdrawn_answer_leaves_the_word_about_the_answer_before_to_be_corrected(
    scenario: AppealsScenario,
) -> None:
    found = await appeal(scenario)
    await published(scenario, found, "Починили.", outcome="solved")
    await says(scenario, found, "Не решено", at=WEDNESDAY + 2 * HOUR)
    second = await published(scenario, found, "Теперь починили.", at=3 * HOUR)
    assert (await scenario.appeal(found["id"]))["feedback_kind"] is None
    waits = await withdrawn(scenario, found, second)
    assert (waits["status"], waits["feedback_kind"]) == ("reopened", "not_solved")
    assert (await correct(scenario, waits, "thanks", answer_number=1)).status_code == 409
    done = await correct(scenario, waits, "thanks")
    assert done.status_code == 200, done.text
    after = done.json()
    assert (after["status"], after["outcome"], after["feedback_kind"]) == ("answered", "solved", "thanks")
    assert [one["kind"] for one in after["feedback"]] == ["thanks", None]
