"""Summaries of attempts of an endpoint that are recorded together."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from services.webhooks.deliveries.attempts import Answer, AttemptResult, ClaimedDelivery, outcomes_by_endpoint

START = datetime(2026, 11, 30, 12, 0, 0, tzinfo=UTC)
ACCEPTED, FAILED = Answer(200), Answer(500, error="HTTP 500")
SILENT, OWN_FAULT = Answer(error="no answer"), Answer(error="no free sockets", own_fault=True)


def result(endpoint: int, number: int, started: float, seconds: float, answer: Answer) -> AttemptResult:
    claim = ClaimedDelivery(UUID(int=number), UUID(int=endpoint), UUID(int=number), "", "", b"", {}, 1, START)
    return AttemptResult(claim, START + timedelta(seconds=started), seconds, answer)


@pytest.mark.parametrize(
    ("answers", "succeeded", "failures"),
    [
        ([ACCEPTED, ACCEPTED], True, 0),
        ([FAILED, FAILED], False, 2),
        ([FAILED, ACCEPTED], True, 0),
        ([FAILED, ACCEPTED, FAILED, FAILED], True, 2),
    ],
)
def test_failures_after_the_last_success_are_counted(
    answers: list[Answer], succeeded: bool, failures: int
) -> None:
    results = [result(1, number, number, 0.5, answer) for number, answer in enumerate(answers)]
    [found] = outcomes_by_endpoint(results)
    assert (found.succeeded, found.failures, found.delivery_id) == (
        succeeded,
        failures,
        UUID(int=len(answers) - 1),
    )


def test_attempts_count_in_the_order_in_which_they_ended() -> None:
    # The first attempt started first and ended last.
    results = [result(1, 1, 0, 10, ACCEPTED), result(1, 2, 1, 2, FAILED), result(2, 3, 0, 1, FAILED)]
    found = {
        one.endpoint_id.int: (one.succeeded, one.failures, one.delivery_id.int)
        for one in outcomes_by_endpoint(results)
    }
    assert found == {1: (True, 0, 1), 2: (False, 1, 3)}


@pytest.mark.parametrize(
    ("answers", "outcomes"),
    [
        ([OWN_FAULT], (False, 0, False)),
        ([FAILED, OWN_FAULT], (False, 1, True)),
        ([SILENT, OWN_FAULT, SILENT], (False, 2, False)),
        ([ACCEPTED, SILENT, OWN_FAULT], (True, 1, True)),
    ],
)
def test_faults_of_our_own_do_not_count_as_failures(
    answers: list[Answer], outcomes: tuple[bool, int, bool]
) -> None:
    results = [result(1, number, number, 0.5, answer) for number, answer in enumerate(answers)]
    [found] = outcomes_by_endpoint(results)
    assert (found.succeeded, found.failures, found.answered) == outcomes
    assert found.delivery_id == UUID(int=len(answers) - 1)
