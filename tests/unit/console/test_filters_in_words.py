"""Conditions in words: the filters of a list, of analytics, of routing rules and of SLA policies."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from starlette.datastructures import QueryParams

from services.console.api_calls.client import ApiProblem
from services.console.choices.appeal_list_query import ListQuery
from services.console.choices.topic_names import Topics
from services.console.pages.analytics.selection import Selection, key_name, refused
from services.console.pages.inbox.filter_words import chips
from services.console.pages.rules.rule_refusals import set_faults
from services.console.pages.rules.rule_words import RuleWords
from services.console.pages.sla_policies.policy_words import PolicyWords
from services.console.site.visit import Visit
from services.console.words.formats import dated, dated_day
from services.console.words.labels import LABELS
from services.console.words.marked_words import Part, marked

GROUP = {"id": "g", "name": "Дороги", "level": "group", "group": None}
TOPIC = {"id": "t", "name": "Ямы", "level": "topic", "group": {"id": "g"}}
TOPICS = Topics([GROUP, TOPIC])
DISTRICT = {"oktmo": "81624000", "name": "Кабанский район"}


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("assignee", "me", "исполнитель: вы"),
        ("assignee", "none", "исполнитель: не назначен"),
        ("organisation_id", "o", "организация: Школа № 5"),
        ("organisation_id", "hidden", "организация: выбранная"),
        ("opened_from", "2026-03-04T00:00:00+08:00", f"с {dated_day('2026-03-04')}"),
        ("opened_to", "2026-03-05T00:00:00+08:00", f"по {dated_day('2026-03-04')}"),
        ("due_before", "2026-03-05T14:05:00+08:00", f"срок до {dated('2026-03-05T14:05:00+08:00')}"),
        ("updated_since", "вчера", "изменены после вчера"),
        ("overdue", "false", "не просрочены"),
        ("colour", "red", "другой отбор: red"),
    ],
)
def test_filter_of_a_list_is_named_with_a_link_that_removes_it(name: str, value: str, words: str) -> None:
    (chip,) = chips(ListQuery(((name, value),)), {"o": "Школа № 5"})
    assert chip["text"] == words
    assert name not in chip["address"]


def _selection(query: str) -> Selection:
    request = SimpleNamespace(query_params=QueryParams(query), url=SimpleNamespace(path="/analytics"))
    return Selection.of(cast(Visit, SimpleNamespace(request=request)))


def test_unknown_breakdown_in_an_address_of_analytics_becomes_the_weeks() -> None:
    query = _selection("rows=colour&columns=colour&figure=colour").query
    assert (query["rows"], query.get("columns"), query["figure"]) == ("week", None, "opened")
    same = _selection("rows=topic&columns=topic").query
    assert (same["rows"], same.get("columns")) == ("topic", None)


@pytest.mark.parametrize(
    ("dimension", "key", "name", "words"),
    [
        ("network", "none", None, "не из соцсети"),
        ("topic", "none", None, "не указано"),
        ("network", "vk", None, "ВКонтакте"),
        ("day", "завтра", None, "завтра"),
        ("organisation", "o", "Школа № 5", "Школа № 5"),
        ("organisation", "o", None, "название неизвестно"),
    ],
)
def test_key_of_a_breakdown_is_named(dimension: str, key: str, name: str | None, words: str) -> None:
    assert key_name(dimension, key, name) == words


@pytest.mark.parametrize(
    ("status", "pointers", "words"),
    [
        (503, (), "Выберите период короче"),
        (422, ("query/to",), "начало не может быть позже конца"),
        (422, ("query/columns",), "Таблица получилась бы слишком большой"),
        (422, ("query/day",), "Проверьте заполнение полей"),
    ],
)
def test_figure_that_cannot_be_computed_says_what_to_change(
    status: int, pointers: tuple[str, ...], words: str
) -> None:
    errors = [{"pointer": pointer, "detail": ""} for pointer in pointers]
    assert words in refused(ApiProblem(status, {"errors": errors}, {}))


def test_failure_of_analytics_is_not_presented_as_a_wrong_period() -> None:
    with pytest.raises(ApiProblem):
        refused(ApiProblem(500, {}, {}))


def _rule_words() -> RuleWords:
    return RuleWords(TOPICS, [DISTRICT], {"o": "Школа № 5"})


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({}, "без условий"),
        ({"topic_id": "g", "urgency": "high"}, "группа тем «Дороги»; срочное"),
        ({"topic_id": "t"}, "тема «Ямы»"),
        ({"municipality": "81624000", "settlement": "Кабанск"}, "Кабанский район, Кабанск"),
        ({"municipality": "99999999"}, "99999999"),
        (
            {"page_owner_id": "o", "page_owner_kind": "institution", "page_owner_sphere": "roads"},
            f"владелец страницы: Школа № 5, {LABELS['organisation_kind']['institution']}, "
            + LABELS["page_owner_sphere"].get("roads", "roads"),
        ),
    ],
)
def test_conditions_of_a_routing_rule_are_named(rule: dict[str, str], words: str) -> None:
    assert _rule_words().conditions(rule) == words
    assert _rule_words().municipality(None) == "—"


def test_refused_rule_set_names_the_rule_or_only_the_reason() -> None:
    pointers = ("/rules/0/topic_id", "/rules/7", "/default")
    errors = [{"pointer": pointer, "detail": "", "text": f"причина {pointer}"} for pointer in pointers]
    rules = [{"topic_id": "t", "send_to": "moderators"}]
    assert set_faults(ApiProblem(422, {"errors": errors}, {}), rules, _rule_words()) == [
        "тема «Ямы» → модераторам: причина /rules/0/topic_id",
        "причина /rules/7",
        "причина /default",
    ]


def test_conditions_of_a_policy_are_named_and_their_absence_means_all_appeals() -> None:
    names = ("urgency", "topic_id", "organisation_kind", "channel", "legal_regime")
    none: dict[str, Any] = dict.fromkeys(names)
    words = PolicyWords(TOPICS)
    assert words.conditions(none) == "все обращения"
    given = {
        "urgency": "high", "topic_id": "t", "organisation_kind": "institution", "channel": "phone",
        "legal_regime": "59-ФЗ",
    }  # fmt: skip
    kind = LABELS["organisation_kind"]["institution"]
    assert words.conditions(none | given) == (
        f"срочное, тема «Ямы», {kind}, канал: телефон, правовой режим: 59-ФЗ"
    )


def test_overlapping_words_of_two_decisions_are_marked_once() -> None:
    parts = marked("Опять нет воды", "Жалоба: «нет воды»; тема «Вода»: «воды»")
    assert parts == [Part("Опять "), Part("нет воды", "Жалоба")]
