"""The texts about an appeal: its history, its locations, its clocks, and the organisations offered for it."""

from typing import Any

import pytest

from services.console.pages.appeal.appeal_clocks import clocks_of
from services.console.pages.appeal.appeal_locations import location_words, organisation_names
from services.console.pages.appeal.appeal_move_forms import Choice, proposed_organisations
from services.console.pages.appeal.appeal_sentences import SENTENCES, Names

NAMES = Names({"o-1": "Комитет"}, {"t-1": "Дороги"}, {"81701000": "город Улан-Удэ"})
SCHOOL, COMMITTEE = {"id": "s", "name": "Школа № 5"}, {"id": "c", "name": "Комитет"}


@pytest.mark.parametrize(
    ("kind", "data", "text"),
    [
        ("opened", {"manual": True, "source": "phone"}, "Обращение заведено вручную: по телефону"),
        ("opened", {"manual": True}, "Обращение заведено вручную"),
        ("opened", {"split_from": "a", "number": 7}, "Обращение выделено из обращения № 7"),
        ("assignee_changed", {"assignee": {"name": "Анна"}}, "Исполнитель: Анна"),
        (
            "assignee_changed",
            {"assignee": {"name": "Анна"}, "previous_assignee": {"name": "Борис"}},
            "Исполнитель: Анна (был: Борис)",
        ),
        ("assignee_changed", {"previous_assignee": {"name": "Борис"}}, "Исполнитель снят: Борис"),
        (
            "escalated",
            {"step": "manager", "skipped": True, "clock": "first_response"},
            "О сроке некому сообщить (руководителю организации; первый ответ)",
        ),
        (
            "escalated",
            {"step": "centre", "clock": "first_response", "notified": [{"name": "Анна"}, {"name": "Борис"}]},
            "О сроке сообщено модераторам центра (первый ответ): Анна, Борис",
        ),
        (
            "extension_approved",
            {"hours": 16, "unit": "working", "clock": "final_answer"},
            "Срок продлён на 16 рабочих часов (итоговый ответ)",
        ),
        (
            "extension_requested",
            {"hours": 1.5, "unit": "calendar", "clock": "final_answer"},
            "Запрошено продление срока на 1,5 часа (итоговый ответ)",
        ),
        ("extension_refused", {"clock": "final_answer"}, "В продлении срока отказано (итоговый ответ)"),
        ("location_changed", {"location": {"municipality": "81701000"}}, "Место: город Улан-Удэ"),
        ("location_changed", {"location": {"settlement": "Кабанск"}}, "Место: Кабанск"),
    ],
)
def test_entry_of_the_history_says_who_and_how_much(kind: str, data: dict[str, Any], text: str) -> None:
    assert SENTENCES[kind](data, NAMES) == text


def test_municipality_without_a_known_name_is_left_out_of_the_location() -> None:
    location = {"municipality": "99999999", "settlement": "Кабанск", "house": "7"}
    assert location_words(location, {"81701000": "город Улан-Удэ"}) == "Кабанск, 7"


def _appeal(
    status: str, present: dict[str, str] | None, *suggested: tuple[dict[str, str], float]
) -> dict[str, Any]:
    suggestions = [{"organisation": ref, "confidence": share, "why": "тема"} for ref, share in suggested]
    return {
        "status": status, "organisation": present, "assignments": [], "submission": None,
        "route": {"suggestions": suggestions},
    }  # fmt: skip


def test_names_of_suggested_organisations_are_known() -> None:
    assert organisation_names(_appeal("triage", None, (SCHOOL, 0.4))) == {"s": "Школа № 5"}


@pytest.mark.parametrize(
    ("status", "share", "found", "likely"),
    [
        ("triage", 0.62, (), True),
        ("triage", 0.5, (), False),
        ("assigned", 0.62, (), False),
        ("triage", 0.62, (Choice("x", "Другая"),), False),
    ],
    ids=["likely", "not likely enough", "not in triage", "searched for another"],
)
def test_suggestion_is_preselected_only_if_it_is_likely_and_nothing_was_searched_for(
    status: str, share: float, found: tuple[Choice, ...], likely: bool
) -> None:
    proposed = proposed_organisations(_appeal(status, None, (SCHOOL, share)), found)
    assert [one.id for one in proposed] == [*(one.id for one in found), "s"]
    assert proposed[-1].likely is likely
    assert proposed[-1].why.endswith(": тема")


def test_present_organisation_is_offered_only_where_the_appeal_may_stay() -> None:
    staying = proposed_organisations(_appeal("triage", COMMITTEE, (SCHOOL, 0.6)), ())
    assert [(one.id, one.why) for one in staying][1:] == [("c", "отвечала до сих пор")]
    moving = proposed_organisations(_appeal("assigned", COMMITTEE, (COMMITTEE, 0.9), (SCHOOL, 0.6)), ())
    assert [one.id for one in moving] == ["s"]


def test_clock_without_a_target_shows_no_share_and_its_extension_in_words() -> None:
    extended = {
        "kind": "extended", "at": "2026-03-04T02:00:00Z", "extension_seconds": 57_600, "reason": "Ждём акт",
        "actor": {"kind": "person", "name": "Анна"},
    }  # fmt: skip
    row = {
        "kind": "first_response", "state": "running", "used_seconds": 18_540, "left_seconds": None, "due_at": None,
        "target_seconds": None, "extension_seconds": 0, "on_time": None, "unit": "working", "segments": [],
        "events": [extended],
    }  # fmt: skip
    (clock,) = clocks_of({"at": "2026-03-04T03:00:00Z", "clocks": [row, row | {"kind": "promise"}]})
    assert (clock.share, clock.left, clock.late) == (None, "", False)
    assert clock.used == "5\N{NO-BREAK SPACE}ч\N{NO-BREAK SPACE}9\N{NO-BREAK SPACE}мин"
    (event,) = clock.events
    assert (event.text, event.actor) == ("Срок продлён на 16 рабочих часов", "Анна")
