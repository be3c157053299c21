"""What forms say about wrong values and about the refusals of the API."""

from typing import Any, cast

import pytest

from services.console.api_calls.client import Api, ApiProblem
from services.console.choices.choices_by_name import Choice
from services.console.choices.organisation_choice import choose_organisation, search_organisations
from services.console.pages.bulk.bulk_request import WrongFields, body_of, reason_words
from services.console.pages.bulk.bulk_words import refused_words
from services.console.pages.new_appeal.submission import wrong_fields
from services.console.pages.sla_policies.policy_form import NEW_POLICY, policy_body, policy_faults
from services.console.pages.webhook_endpoints.endpoint_form import EndpointFields, endpoint_refusal

ENTERED = NEW_POLICY | {"name": "Быстрее"}


def problem(status: int, *pointers: str, slug: str = "", **more: Any) -> ApiProblem:
    errors = [{"pointer": pointer, "detail": "wrong"} for pointer in pointers]
    return ApiProblem(status, {"type": f"/problems/{slug}", "errors": errors, **more}, {})


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("name", "", "Введите название норматива."),
        ("manager_hours", "-1", "Введите число часов, 0 — сразу. Пусто — никогда."),
        ("manager_hours", "скоро", "Введите число часов, 0 — сразу. Пусто — никогда."),
        ("valid_from", "завтра", "Выберите день."),
        ("valid_from", "2026-02-30", "Выберите день."),
        ("first_response_hours", "0", "Введите число больше нуля, например 8 или 4,5."),
        ("ceiling_hours", "-2", "Введите число больше нуля, например 8 или 4,5."),
    ],
)
def test_wrong_value_of_a_policy_is_named_at_its_field(name: str, value: str, words: str) -> None:
    _, faults = policy_body(ENTERED | {name: value}, Choice("topic"))
    assert faults == {name: words}


def test_policy_without_faults_has_the_entered_values() -> None:
    body, faults = policy_body(ENTERED | {"valid_from": "2026-03-04", "centre_hours": ""}, Choice("topic"))
    assert faults == {}
    assert body["valid_from"] == "2026-03-04T00:00:00+08:00"
    assert body["escalation"] == {
        "manager_hours": 0.0, "centre_hours": None, "deputy_head_hours": 9.0, "executor_share": 0.8,
    }  # fmt: skip
    assert body["extensions"]["final_answer"] == {"count": 2, "hours": 40.0}


def test_refused_field_of_a_policy_is_found_in_the_form() -> None:
    faults = policy_faults(
        problem(422, "/resolution_hours", "/extensions/final_answer/hours", "/escalation/share")
    )
    assert faults["resolution_hours"] == "Итоговый ответ не может быть раньше первого."
    assert {"extend_final_answer_hours", "share"} <= set(faults)


@pytest.mark.parametrize(
    ("refusal", "fields", "text"),
    [
        (problem(422, "/filter"), {}, "Обращений больше 5 000"),
        (problem(412, "/list_version"), {}, "список изменился"),
        (problem(403), {}, "нет права на это действие"),
        (problem(422, "/reason"), {"reason": "Напишите причину одной строкой."}, ""),
    ],
)
def test_refused_bulk_operation_says_why(refusal: ApiProblem, fields: dict[str, str], text: str) -> None:
    wrong = reason_words(refusal)
    assert wrong.fields == fields
    assert text in wrong.text
    assert bool(wrong.text) is bool(text)


async def test_bulk_decision_without_a_choice_is_refused_before_the_call() -> None:
    with pytest.raises(WrongFields) as refusal:
        await body_of(cast(Api, None), "triage", {})
    assert refusal.value.fields == {"needs_answer": "Выберите, нужен ли ответ."}
    assert await body_of(cast(Api, None), "triage", {"needs_answer": "no", "topic_id": "t"}) == {
        "needs_answer": False
    }


def test_unchanged_appeal_of_a_bulk_operation_has_its_reason() -> None:
    other = {"status": 409, "type": "/problems/conflict", "errors": [{"pointer": "/other"}]}
    assert refused_words(other) == "В нынешнем статусе обращения так сделать нельзя."
    assert refused_words(other | {"errors": [{"pointer": "/other"}, {"pointer": "/reason"}]}) == "Нужна причина."


@pytest.mark.parametrize(
    ("refusal", "fields", "text"),
    [
        (
            problem(409, slug="duplicate", appeal_number=17),
            {},
            "Такое обращение уже заведено: № 17.",
        ),
        (problem(409, slug="duplicate"), {}, "Такое обращение уже заведено."),
        (problem(422, "/house", "/unknown"), {"location": "Проверьте место: улица и дом — в одну строку."}, ""),
        (problem(422, "/unknown"), {}, "Проверьте заполнение полей."),
    ],
)
def test_refused_appeal_names_its_duplicate_or_its_wrong_field(
    refusal: ApiProblem, fields: dict[str, str], text: str
) -> None:
    wrong = wrong_fields(refusal)
    assert (wrong.fields, wrong.text) == (fields, text)


def test_limit_of_webhook_endpoints_is_named_instead_of_a_general_refusal() -> None:
    assert "Удалите ненужную" in endpoint_refusal(problem(409, slug="conflict"), EndpointFields()).refusal
    assert "состояние записи" in endpoint_refusal(problem(409, slug="other"), EndpointFields()).refusal
    with pytest.raises(ApiProblem):
        endpoint_refusal(problem(500), EndpointFields())


class _Search:
    """An API whose search for organisations responds with the given problem."""

    def __init__(self, status: int) -> None:
        self._status = status

    async def get(self, path: str, parameters: object = None) -> Any:
        raise problem(self._status)


async def test_name_without_searchable_characters_finds_no_organisation() -> None:
    choice = await choose_organisation(cast(Api, _Search(422)), "!")
    assert (choice.chosen, choice.found) == (None, [])
    with pytest.raises(ApiProblem):  # a failed search must not be shown as «no such organisation»
        await search_organisations(cast(Api, _Search(500)), "Школа")
