"""The query of a list: parsed from the address and passed to the API."""

import pytest

from services.console.choices.appeal_list_query import ListQuery, day_of
from services.console.site.forms import is_id


def test_days_become_moments_of_the_region_and_the_last_one_is_included() -> None:
    query = ListQuery.parsed("from=2026-11-01&to=2026-11-30")
    assert query.value("opened_from") == "2026-11-01T00:00:00+08:00"
    assert query.value("opened_to") == "2026-12-01T00:00:00+08:00"
    assert day_of(query.value("opened_from")) == "2026-11-01"
    assert day_of(query.value("opened_to"), is_end=True) == "2026-11-30"


@pytest.mark.parametrize("day", ["вчера", "2026-13-40", "9999-12-31"])
def test_invalid_day_is_left_for_the_api_to_refuse(day: str) -> None:
    assert ListQuery.of([("to", day)]).value("opened_to") == day


@pytest.mark.parametrize("moment", [None, "", "вчера", "2026-11-01T09:30:00+08:00"])
def test_moment_within_a_day_is_not_shown_as_a_day(moment: str | None) -> None:
    assert day_of(moment) == ""


def test_empty_and_repeated_parameters_are_omitted() -> None:
    query = ListQuery.parsed("q=&status=triage&status=triage&status=reopened&limit=5&sort=due&cursor=abc")
    assert query.filters == (("status", "triage"), ("status", "reopened"))
    assert (query.sort, query.cursor) == ("due", "abc")


@pytest.mark.parametrize(("sort", "used"), [("due", "-opened_at"), ("opened_at", "opened_at"), ("", "-opened_at")])
def test_search_uses_only_orders_that_the_api_accepts(sort: str, used: str) -> None:
    assert ListQuery.of([("q", "дорога"), ("sort", sort)]).sort == used


def test_bulk_change_of_a_list_by_deadline_affects_only_shown_appeals() -> None:
    by_due = ListQuery.parsed("status=assigned&sort=due").filter_object()
    assert by_due["due_before"].startswith("2100-")
    assert by_due["status"] == ["assigned"]
    assert ListQuery.parsed("due_before=2026-12-01T00:00:00Z&sort=due").filter_object() == {
        "due_before": "2026-12-01T00:00:00Z"
    }
    assert ListQuery.parsed("sort=-opened_at").filter_object() == {}


def test_saved_view_omits_the_filter_implied_by_its_order() -> None:
    assert ListQuery.parsed("assignee=me&sort=due").view_filter() == {"assignee": "me"}


def test_order_of_parameters_and_cursor_do_not_change_the_list() -> None:
    one, other = ListQuery.parsed("tag=a&overdue=true&cursor=1"), ListQuery.parsed("overdue=true&tag=a")
    assert one.has_same_list(other)
    assert not one.has_same_list(ListQuery.parsed("overdue=true&tag=a&sort=due"))


def test_address_with_a_filter_removed_starts_at_the_first_page() -> None:
    query = ListQuery.parsed("status=triage&status=closed&q=дом&cursor=abc")
    assert query.without("status", "closed").text == "status=triage&q=%D0%B4%D0%BE%D0%BC&sort=-opened_at"
    assert query.without("status").filters == (("q", "дом"),)
    assert query.with_filter("q", "двор").values("q") == ["двор"]


@pytest.mark.parametrize(
    "text", ["", "../me", "0193f0a4-7c11-7d0e-9d5b-3f1f5a4f2b10/../x", "0193f0a47c117d0e9d5b3f1f5a4f2b10"]
)
def test_only_a_hyphenated_uuid_is_an_id(text: str) -> None:
    assert not is_id(text)
    assert is_id("0193f0a4-7c11-7d0e-9d5b-3f1f5a4f2b10")
