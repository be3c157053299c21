"""The product and an independent count of minutes give the results of every case of `clock_cases.txt`."""

from collections import Counter
from datetime import timedelta

import pytest

from services.appeals.sla.deadlines import read_clock
from tests.unit.appeals.sla.case_table import Case, read_calendars, read_cases
from tests.unit.appeals.sla.minute_counter import count
from tests.unit.appeals.sla.product_clocks import events_of

CASES = read_cases()
CALENDARS = read_calendars()
_names = [f"{case.group}: {case.name}" for case in CASES]


def test_table_covers_the_difficult_cases_of_working_time() -> None:
    groups = Counter(case.group for case in CASES)
    assert sum(groups.values()) >= 200
    assert set(groups) == {
        "weekends", "lunch", "moved days", "short days", "Сагаалган", "split shifts", "midnight", "two zones",
        "calendar hours and ceilings", "pauses", "transfers", "merges", "policy edited and deleted", "reopened",
        "not solved", "promises", "extensions", "withdrawn answers",
    }  # fmt: skip
    assert len(set(_names)) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=_names)
def test_independent_minute_count_gives_the_results_of_the_table(case: Case) -> None:
    assert count(case, CALENDARS) == (case.due, case.used)


@pytest.mark.parametrize("case", CASES, ids=_names)
def test_clock_gives_the_results_of_the_table(case: Case) -> None:
    reading = read_clock(events_of(case))
    assert reading.due_at == case.due
    if case.used is not None:
        assert reading.used == timedelta(minutes=case.used)
