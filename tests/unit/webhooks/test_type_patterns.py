"""Patterns of event types."""

import pytest

from services.webhooks.feed.type_patterns import expand_types

KNOWN = ("appeal.opened", "appeal.closed", "appeals.counted", "page.closed")


@pytest.mark.parametrize(
    ("requested", "expanded"),
    [
        (["appeal.*"], ["appeal.opened", "appeal.closed"]),
        (["appeal.closed", "appeal.*", "page.*"], ["appeal.closed", "appeal.opened", "page.closed"]),
        (["page.closed", "page.closed"], ["page.closed"]),
        (["appea.*"], ["appea.*"]),
        (["*"], ["*"]),
        ([".*"], [".*"]),
        (["appeal.c*"], ["appeal.c*"]),
        (["appeal*"], ["appeal*"]),
    ],
)
def test_patterns_match_all_types_of_a_subject(requested: list[str], expanded: list[str]) -> None:
    assert expand_types(requested, KNOWN) == expanded


def test_type_added_later_matches_the_pattern() -> None:
    assert expand_types(["page.*"], [*KNOWN, "page.praised"]) == ["page.closed", "page.praised"]
