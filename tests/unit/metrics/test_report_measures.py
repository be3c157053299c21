"""Definitions of the report's measures, which the documentation repeats, and weeks in the region's time zone."""

from datetime import UTC, date, datetime

import pytest

from services.metrics.indicators.weeks import Week
from services.metrics.page_health.page_measures import PAGE_MEASURES
from services.metrics.weekly_report.attention import attention_items
from services.metrics.weekly_report.measure_values import axis_values
from services.metrics.weekly_report.measures import MEASURES
from services.metrics.weekly_report.measures_document import (
    DOCUMENT,
    PAGE_DOCUMENT,
    measures_table,
    page_measures_table,
    with_current_table,
)
from services.metrics.weekly_report.publication import due_week
from tests.support.sample_report import sample_report
from tests.support.sample_report_parts import last_week_figures, week_figures


def test_documentation_has_all_measures_as_defined() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert text == with_current_table(text, measures_table())
    assert all(f"`{measure.code}`" in text for measure in MEASURES)


def test_documentation_has_all_page_measures_as_defined() -> None:
    text = PAGE_DOCUMENT.read_text(encoding="utf-8")
    assert text == with_current_table(text, page_measures_table())
    assert all(f"`{measure.code}`" in text for measure in PAGE_MEASURES)


def test_code_of_each_measure_is_unique() -> None:
    codes = [measure.code for measure in MEASURES] + [measure.code for measure in PAGE_MEASURES]
    assert len(set(codes)) == len(codes)


def test_no_measure_claims_that_its_past_values_never_change() -> None:
    # An answer may be recorded, withdrawn or given another deadline after the week.
    assert [measure.code for measure in MEASURES if "задним числом" in measure.formula] == []


def test_measures_of_an_unfinished_week_have_no_change_from_the_week_before() -> None:
    unfinished, ended = (
        [
            one
            for axis in axis_values(week_figures(), last_week_figures(), complete=complete)
            for one in axis.measures
        ]
        for complete in (False, True)
    )
    assert {measure.change for measure in unfinished} == {None}
    assert None not in {measure.change for measure in ended}
    assert [measure.last_week for measure in unfinished] == [measure.last_week for measure in ended]


def test_week_begins_at_midnight_of_the_region_and_not_of_utc() -> None:
    # Sunday 17:00 in UTC is Monday 01:00 in Irkutsk.
    assert Week.containing(datetime(2026, 11, 22, 17, tzinfo=UTC)).name == "2026-W48"
    assert Week.parse("2026-W48").period.start.isoformat() == "2026-11-23T00:00:00+08:00"


@pytest.mark.parametrize(
    ("week", "year_before"),
    [
        ("2026-W47", "2025-W47"),
        ("2026-W53", "2025-W52"),
        ("2021-W01", "2020-W01"),
        ("2021-W52", "2020-W52"),
    ],
)
def test_week_of_the_year_before_has_the_same_number_or_is_its_last_week(week: str, year_before: str) -> None:
    assert Week.parse(week).year_before().name == year_before


@pytest.mark.parametrize(
    "label", ["2026-W00", "2026-W54", "2025-W53", "2026-W1", "2026W47", "1999-W10", "2026-W4７"]
)
def test_invalid_week_label_is_refused(label: str) -> None:
    with pytest.raises(ValueError, match="week"):
        Week.parse(label)


def test_report_is_due_on_monday_from_the_configured_hour() -> None:
    assert due_week(datetime(2026, 11, 22, 22, 59, tzinfo=UTC), 7).name == "2026-W46"
    assert due_week(datetime(2026, 11, 22, 23, 0, tzinfo=UTC), 7).name == "2026-W47"
    assert due_week(datetime(2026, 11, 29, 12, tzinfo=UTC), 7).monday == date(2026, 11, 16)


def test_attention_items_of_topics_and_silent_pages_filter_their_rows() -> None:
    document = sample_report().report
    counts = document.topics[0].appeals.model_copy(update={"value": 60, "change": 30, "mean_of_8_weeks": 20.0})
    grows = document.topics[0].model_copy(update={"appeals": counts})
    unnamed = grows.model_copy(update={"topic_group_id": None})
    items = attention_items(week_figures(), [grows, unnamed], document.pages)
    assert [item.filter for item in items if item.kind == "topic_grows"] == [
        {"topic_group_id": str(grows.topic_group_id)},
        {"topic_group_id": "none"},
    ]
    filters = {item.kind: item.filter for item in items}
    assert filters["pages_silent"] == {"silent": "true"}
    assert filters["promises_broken"] == {"status": "broken"}
    assert filters["overdue"] == {}
