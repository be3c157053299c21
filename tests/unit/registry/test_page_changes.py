"""Differences between page checks that count as changes, and changes that emit events."""

from typing import Any
from uuid import UUID

import pytest

from services.registry.page_checks import change_detection
from services.registry.page_checks.change_detection import PreviousCheck
from services.registry.schemas.page_checks import PageDescription, PageState

KNOWN: dict[str, Any] = {
    "name": "Школа № 71",
    "screen_name": "school71",
    "verified": True,
    "avatar": True,
    "cover": True,
    "description": True,
    "phone": "+7 301 221-44-11",
    "address": "ул. Ленина, 54",
    "site": None,
    "comments_open": True,
}
FIRST = PreviousCheck()
YESTERDAY = PreviousCheck("open", KNOWN)


def said(state: str = "open", reason: str | None = None, **more: Any) -> PageDescription:
    """Return today's description of a page from ingest: yesterday's with the given fields replaced."""
    known = KNOWN if state == "open" else {}
    return PageDescription(page_id=UUID(int=1), state=PageState(state), reason=reason, calls=0, **(known | more))


def changed(before: PreviousCheck, today: PageDescription) -> dict[str, tuple[Any, Any]]:
    """Return the changes by field."""
    return {one.field.value: (one.before, one.after) for one in change_detection.diff(before, today)}


def alarmed(before: PreviousCheck, today: PageDescription) -> dict[str, Any]:
    """Return the events by type."""
    return {
        one.model.event_type: one.data
        for one in change_detection.detect_events(before, today, change_detection.diff(before, today))
    }


def test_changed_member_and_post_counts_are_not_reported() -> None:
    today = said(members=1000, posts_7_days=4)
    assert changed(YESTERDAY, today) == {}
    assert change_detection.snapshot_of(today)["members"] == 1000


def test_changed_field_has_before_and_after() -> None:
    today = said(cover=False, phone=None, site="https://example.invalid")
    assert changed(YESTERDAY, today) == {
        "cover": (True, False),
        "phone": (KNOWN["phone"], None),
        "site": (None, "https://example.invalid"),
    }
    assert alarmed(YESTERDAY, today) == {}


def test_unreported_field_is_not_a_change() -> None:
    assert changed(YESTERDAY, said(verified=None, comments_open=None)) == {}
    assert changed(PreviousCheck("open", KNOWN | {"verified": None}), said(verified=False)) == {}


def test_first_check_finds_no_changes_but_reports_a_closed_page() -> None:
    assert changed(FIRST, said()) == alarmed(FIRST, said()) == {}
    assert alarmed(FIRST, said("closed", "banned")) == {"page.closed": {"reason": "banned"}}
    assert alarmed(FIRST, said("gone", "not_found")) == {"page.gone": {"reason": "not_found"}}


def test_closed_page_is_reported_once() -> None:
    today = said("closed", "deleted")
    assert changed(YESTERDAY, today) == {"state": ("open", "closed")}
    assert set(alarmed(YESTERDAY, today)) == {"page.closed"}
    assert alarmed(PreviousCheck("closed", KNOWN), today) == {}


def test_reopened_page_is_compared_with_its_last_visible_snapshot() -> None:
    today = said(name="Магазин")
    assert changed(PreviousCheck("gone", KNOWN), today) == {
        "state": ("gone", "open"),
        "name": (KNOWN["name"], "Магазин"),
    }
    assert set(alarmed(PreviousCheck("gone", KNOWN), today)) == {"page.renamed"}


def test_closed_group_still_shows_name_and_badge() -> None:
    today = said("closed", "private_group", name="Другая", screen_name="school71", verified=False)
    assert changed(YESTERDAY, today) == {
        "state": ("open", "closed"),
        "name": (KNOWN["name"], "Другая"),
        "verified": (True, False),
    }


@pytest.mark.parametrize(
    ("today", "signals"),
    [
        ({"name": "Магазин"}, None),
        ({"screen_name": "shop"}, None),
        ({"verified": False}, None),
        ({"name": "Магазин", "screen_name": "shop"}, ["name_and_screen_name_changed"]),
        ({"name": "Магазин", "verified": False}, ["badge_lost_with_rename"]),
        (
            {"name": "Магазин", "screen_name": "shop", "verified": False},
            ["name_and_screen_name_changed", "badge_lost_with_rename"],
        ),
    ],
)
def test_takeover_is_suspected_when_two_fields_change_together(
    today: dict[str, Any], signals: list[str] | None
) -> None:
    events = alarmed(YESTERDAY, said(**today))
    assert (
        events["page.takeover_suspected"]["signals"] if "page.takeover_suspected" in events else None
    ) == signals
    assert ("page.renamed" in events) is bool({"name", "screen_name"} & set(today))
    assert change_detection.badge_lost(change_detection.diff(YESTERDAY, said(**today))) is ("verified" in today)


def test_new_badge_is_not_a_loss() -> None:
    before = PreviousCheck("open", KNOWN | {"verified": False})
    assert not change_detection.badge_lost(change_detection.diff(before, said()))
