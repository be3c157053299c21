"""What counts as a change of a page, and what of that is alarming."""

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


def said(outcome: str = "open", reason: str | None = None, **more: Any) -> PageDescription:
    """What ingest answers today: as yesterday, but for what is given."""
    told = KNOWN if outcome == "open" else {}
    return PageDescription(
        page_id=UUID(int=1), outcome=PageState(outcome), reason=reason, calls=0, **(told | more)
    )


def changed(before: PreviousCheck, today: PageDescription) -> dict[str, tuple[Any, Any]]:
    """The changes by field."""
    return {one.field.value: (one.before, one.after) for one in change_detection.diff(before, today)}


def alarmed(before: PreviousCheck, today: PageDescription) -> dict[str, Any]:
    """The alarms by kind."""
    return {
        one.event_type: one.data
        for one in change_detection.detect_events(before, today, change_detection.diff(before, today))
    }


def test_members_and_posts_move_without_being_a_change() -> None:
    today = said(members=1000, posts_7_days=4)
    assert changed(YESTERDAY, today) == {}
    assert change_detection.snapshot_of(today)["members"] == 1000


def test_what_differs_is_named_with_before_and_after() -> None:
    today = said(cover=False, phone=None, site="https://example.invalid")
    assert changed(YESTERDAY, today) == {
        "cover": (True, False),
        "phone": (KNOWN["phone"], None),
        "site": (None, "https://example.invalid"),
    }
    assert alarmed(YESTERDAY, today) == {}


def test_what_a_network_does_not_tell_is_no_change() -> None:
    assert changed(YESTERDAY, said(verified=None, comments_open=None)) == {}
    assert changed(PreviousCheck("open", KNOWN | {"verified": None}), said(verified=False)) == {}


def test_a_first_check_changes_nothing_but_tells_of_a_page_that_is_closed_already() -> None:
    assert changed(FIRST, said()) == alarmed(FIRST, said()) == {}
    assert alarmed(FIRST, said("closed", "banned")) == {"page.closed": {"reason": "banned"}}
    assert alarmed(FIRST, said("gone", "not_found")) == {"page.unreachable": {"reason": "not_found"}}


def test_a_page_that_closes_is_told_once() -> None:
    today = said("closed", "deleted")
    assert changed(YESTERDAY, today) == {"state": ("open", "closed")}
    assert set(alarmed(YESTERDAY, today)) == {"page.closed"}
    assert alarmed(PreviousCheck("closed", KNOWN), today) == {}


def test_a_page_that_comes_back_is_compared_with_what_it_told_last() -> None:
    today = said(name="Магазин")
    assert changed(PreviousCheck("gone", KNOWN), today) == {
        "state": ("gone", "open"),
        "name": (KNOWN["name"], "Магазин"),
    }
    assert set(alarmed(PreviousCheck("gone", KNOWN), today)) == {"page.renamed"}


def test_a_group_for_members_still_shows_its_name_and_mark() -> None:
    today = said("closed", "private_group", name="Другая", screen_name="school71", verified=False)
    assert changed(YESTERDAY, today) == {
        "state": ("open", "closed"),
        "name": (KNOWN["name"], "Другая"),
        "verified": (True, False),
    }


@pytest.mark.parametrize(
    ("today", "signs"),
    [
        ({"name": "Магазин"}, None),
        ({"screen_name": "shop"}, None),
        ({"verified": False}, None),
        ({"name": "Магазин", "screen_name": "shop"}, ["name_and_address_changed"]),
        ({"name": "Магазин", "verified": False}, ["mark_lost_with_name"]),
        (
            {"name": "Магазин", "screen_name": "shop", "verified": False},
            ["name_and_address_changed", "mark_lost_with_name"],
        ),
    ],
)
def test_a_theft_is_suspected_when_two_things_change_together(
    today: dict[str, Any], signs: list[str] | None
) -> None:
    told = alarmed(YESTERDAY, said(**today))
    assert (told["page.stolen"]["signs"] if "page.stolen" in told else None) == signs
    assert ("page.renamed" in told) is bool({"name", "screen_name"} & set(today))
    assert change_detection.badge_lost(change_detection.diff(YESTERDAY, said(**today))) is ("verified" in today)


def test_a_mark_that_comes_is_no_loss() -> None:
    before = PreviousCheck("open", KNOWN | {"verified": False})
    assert not change_detection.badge_lost(change_detection.diff(before, said()))
