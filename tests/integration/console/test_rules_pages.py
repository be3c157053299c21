"""Pages of rule sets, SLA policies and approval rules: content, preview and changes."""

import json
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import pytest

from services.console.pages.rules.pending_changes import MAX_CHANGES
from tests.integration.access.all_services import CallerCase
from tests.integration.console.console_under_test import ConsoleUnderTest, Visited
from tests.integration.console.page_reading import HOSTILE, assert_escaped, note_of, query_of, text_of

MODERATOR = CallerCase("moderator")
HEAD = CallerCase("head")


@pytest.fixture
def own(console: ConsoleUnderTest) -> dict[str, str]:
    return {name: str(value) for name, value in console.services.samples["own"].items()}


async def _get(console: ConsoleUnderTest, path: str, who: CallerCase = MODERATOR) -> Visited:
    return await console.send(who, "GET", path)


async def _post(console: ConsoleUnderTest, path: str, **form: Any) -> Visited:
    return await console.send(MODERATOR, "POST", path, data=form)


async def _active(console: ConsoleUnderTest) -> str:
    page = (await _get(console, "/rules")).response.text
    return page.split('href="/rules/', 1)[1].split('"', 1)[0]


def _made(visited: Visited) -> list[tuple[str, str, int]]:
    return [(call.method, call.path, call.status) for call in visited.calls if call.method != "GET"]


async def test_rules_of_a_set_are_shown_in_words(console: ConsoleUnderTest) -> None:
    shown = text_of((await _get(console, f"/rules/{await _active(console)}")).response)
    assert "Организация bagulnik" in shown
    assert "Убрать" in shown


async def test_reader_sees_the_rules_and_no_forms_to_change_them(console: ConsoleUnderTest) -> None:
    shown = (await _get(console, f"/rules/{await _active(console)}", HEAD)).response
    assert shown.status_code == 200
    assert "Организация bagulnik" in shown.text
    assert "/edit" not in shown.text
    assert "/bench" not in shown.text


async def test_filter_of_rules_shows_only_matching_rules(console: ConsoleUnderTest) -> None:
    active = await _active(console)
    assert "1 правило" in text_of((await _get(console, f"/rules/{active}?q=saranka+матрица")).response)
    assert "0 правил" in text_of((await _get(console, f"/rules/{active}?q=нетакойорганизации")).response)


async def test_rule_preview_shows_organisation_and_matching_rule(
    console: ConsoleUnderTest, own: dict[str, str]
) -> None:
    visited = await _post(
        console, f"/rules/{await _active(console)}/bench", topic="матрица", page="vk.com/club101"
    )
    assert visited.response.status_code == 200
    shown = text_of(visited.response)
    assert "Организация bagulnik" in shown
    assert "сработало" in shown
    assert [call.path for call in visited.calls if call.path.endswith("/preview")]


async def test_rule_preview_without_a_text_is_refused(console: ConsoleUnderTest) -> None:
    visited = await _post(console, f"/rules/{await _active(console)}/bench", text=" ", kind="comment")
    assert visited.response.status_code == 422
    assert "Введите текст сообщения" in text_of(visited.response)
    assert _made(visited) == []


@pytest.mark.parametrize("address", ["vk.com/nosuchpage", "просто слова"])
async def test_rule_preview_of_an_unknown_page_keeps_the_entered_text(
    console: ConsoleUnderTest, address: str
) -> None:
    path = f"/rules/{await _active(console)}/bench"
    response = (await _post(console, path, text=HOSTILE, page=address)).response
    assert response.status_code == 422
    assert "Такой страницы в реестре нет" in text_of(response)
    assert_escaped(response)


async def test_dry_run_counts_appeals(console: ConsoleUnderTest, own: dict[str, str]) -> None:
    path = f"/rules/{own['rule_set_id']}/dry-run"
    assert _made(await _get(console, path)) == []
    visited = await _get(console, f"{path}?untouched=true")
    assert [path for _, path, _ in _made(visited)] == [f"/rule-sets/{own['rule_set_id']}/dry-run"]
    assert "проверено" in text_of(visited.response)


async def test_changes_of_a_rule_set_show_the_former_organisation(
    console: ConsoleUnderTest, own: dict[str, str]
) -> None:
    response = (await _get(console, f"/rules/{own['rule_set_id']}/changes")).response
    assert "<del>Организация bagulnik</del>" in response.text
    assert "убрано" in text_of(response)


async def test_activation_page_asks_for_confirmation_and_contains_the_set_to_replace(
    console: ConsoleUnderTest, own: dict[str, str]
) -> None:
    response = (await _get(console, f"/rules/{own['rule_set_id']}/activation")).response
    assert f'name="expected" value="{await _active(console)}"' in response.text
    assert "Включить набор №" in text_of(response)


async def test_activation_sends_the_versions_that_were_shown(
    console: ConsoleUnderTest, own: dict[str, str]
) -> None:
    path = f"/rules/{own['rule_set_id']}/activation"
    visited = await _post(console, path, version='"1"', expected=await _active(console), reroute="yes")
    assert visited.response.headers["location"] == "/rules"
    assert note_of(visited.response).startswith("Действует набор №")


@pytest.mark.parametrize(
    ("form", "status", "said"),
    [
        ({"version": '"1"', "expected": str(uuid4())}, 409, "коллега включил другой набор"),
        ({"version": '"7"'}, 412, "запись изменил коллега"),
    ],
    ids=["other set active", "stale version"],
)
async def test_refused_activation_explains_the_reason_and_asks_again(
    console: ConsoleUnderTest, own: dict[str, str], form: dict[str, str], status: int, said: str
) -> None:
    sent = {"expected": await _active(console), **form}
    response = (await _post(console, f"/rules/{own['rule_set_id']}/activation", **sent)).response
    assert response.status_code == status
    assert said in text_of(response)
    assert "Включить набор №" in text_of(response)


async def test_unsaved_changes_of_rules_are_kept_in_the_address(
    console: ConsoleUnderTest, own: dict[str, str]
) -> None:
    path = f"/rules/{await _active(console)}/edit"
    left_out = (await _post(console, f"{path}/steps", without=own["rule_id"])).response
    assert query_of(left_out) == {"without": [own["rule_id"]]}
    sent = {"topic": "Матрица", "urgency": "high", "send_to": "moderators"}
    rule = {"topic_id": own["topic_id"], "urgency": "high", "send_to": "moderators"}
    added = (await _post(console, f"{path}/rules?without={own['rule_id']}", **sent)).response
    assert added.status_code == 303
    assert query_of(added)["without"] == [own["rule_id"]]
    assert json.loads(query_of(added)["rule"][0]) == rule
    shown = (await _get(console, added.headers["location"])).response
    assert "срочное → модераторам" in text_of(shown)
    dropped = (await _post(console, f"{path}/steps?{added.headers['location'].split('?')[1]}", drop="0")).response
    assert "rule" not in query_of(dropped)
    too_long = (await _post(console, f"{path}/steps?without={own['rule_id']}", drop="9" * 5_000)).response
    assert query_of(too_long) == {"without": [own["rule_id"]]}
    restored = (await _post(console, f"{path}/steps?without={own['rule_id']}", restore=own["rule_id"])).response
    assert restored.headers["location"] == path


async def test_changed_rule_replaces_the_former_one(console: ConsoleUnderTest, own: dict[str, str]) -> None:
    path = f"/rules/{await _active(console)}/edit"
    form = (await _get(console, f"{path}?change={own['rule_id']}")).response
    assert "Заменить правило" in form.text
    assert 'value="Организация bagulnik"' in form.text
    sent = {
        "topic": "Матрица",
        "send_to": "organisation",
        "organisation": "организация SARANKA",
        "page_owner": "Организация bagulnik",
    }
    replaced = (await _post(console, f"{path}/rules?change={own['rule_id']}", **sent)).response
    assert replaced.status_code == 303, text_of(replaced)
    rule = json.loads(query_of(replaced)["rule"][0])
    subordinate = console.services.samples["subordinate"]["organisation_id"]
    assert rule["organisation_id"] == str(subordinate)
    assert rule["page_owner_id"] == own["organisation_id"]
    assert query_of(replaced)["without"] == [own["rule_id"]]


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"send_to": "moderators"}, "хотя бы одно условие"),
        ({"send_to": "organisation", "urgency": "high"}, "Укажите организацию"),
        (
            {"send_to": "organisation", "urgency": "high", "organisation": "bagulnik"},
            "выберите из похожих",
        ),
        ({"send_to": "moderators", "settlement": "Кабанск"}, "выберите муниципалитет"),
        ({"send_to": "moderators", "topic": "матри"}, "Точно такой темы нет"),
        ({"send_to": "moderators", "topic": "щщщ"}, "Такой темы нет"),
    ],
    ids=["no condition", "no organisation", "vague organisation", "no municipality", "vague topic", "no topic"],
)
async def test_invalid_rule_is_shown_again_with_the_reason(
    console: ConsoleUnderTest, form: dict[str, str], said: str
) -> None:
    path = f"/rules/{await _active(console)}/edit/rules"
    response = (await _post(console, path, reason=HOSTILE, **form)).response
    assert response.status_code == 422
    assert said in text_of(response)
    assert_escaped(response)


async def test_new_set_is_stored_as_a_draft(console: ConsoleUnderTest, own: dict[str, str]) -> None:
    path = f"/rules/{await _active(console)}/edit?without={own['rule_id']}"
    visited = await _post(console, path, note="Проба", key=str(uuid4()))
    assert _made(visited) == [("POST", "/rule-sets", 201)]
    assert visited.response.headers["location"].endswith("/changes")
    assert "создан как черновик" in note_of(visited.response)


async def test_rule_set_refused_by_the_api_explains_the_conflict(
    console: ConsoleUnderTest, own: dict[str, str]
) -> None:
    rule = {
        "topic_id": own["topic_id"],
        "page_owner_id": own["organisation_id"],
        "send_to": "moderators",
    }
    path = f"/rules/{await _active(console)}/edit?{urlencode({'rule': json.dumps(rule)})}"
    response = (await _post(console, path, note="Проба", key=str(uuid4()))).response
    assert response.status_code == 422
    assert "противоречит другому правилу" in text_of(response)
    assert "Conflicts" not in response.text


async def test_unreadable_rules_in_the_address_are_ignored(console: ConsoleUnderTest) -> None:
    query = urlencode([("rule", "{"), ("rule", "[1]"), ("rule", json.dumps({"organisation_id": "x"}))])
    response = (await _get(console, f"/rules/{await _active(console)}/edit?{query}")).response
    assert response.status_code == 200


async def test_topics_are_suggested_by_name(console: ConsoleUnderTest) -> None:
    suggested = (await _get(console, "/suggest/topics?field=topic&topic=матр")).response
    assert 'value="Матрица"' in suggested.text


async def test_organisations_are_suggested_by_name(console: ConsoleUnderTest) -> None:
    suggested = (await _get(console, "/suggest/organisations?field=page_owner&page_owner=bagulnik")).response
    assert 'value="Организация bagulnik"' in suggested.text


POLICY = {
    "name": "Быстрее",
    "topic": "Матрица",
    "urgency": "high",
    "first_response_hours": "4,5",
    "first_response_unit": "working",
    "resolution_hours": "20",
    "resolution_unit": "calendar",
    "starts_from": "received",
    "warn_at": "50, 80",
    "executor_share": "80",
    "manager_hours": "0",
    "centre_hours": "",
    "deputy_head_hours": "",
    "extend_final_answer_count": "2",
    "extend_final_answer_hours": "16",
}


async def test_policy_is_added_from_the_form(console: ConsoleUnderTest) -> None:
    visited = await _post(console, "/sla-policies/new", key=str(uuid4()), **POLICY)
    assert _made(visited) == [("POST", "/sla-policies", 201)]
    assert note_of(visited.response) == "Норматив добавлен"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("first_response_hours", "много", "Введите число больше нуля"),
        ("executor_share", "150", "Введите проценты от 1 до 99"),
        ("resolution_hours", "1", "не может быть раньше первого"),
        ("extend_final_answer_hours", "", "и на сколько часов"),
        ("extend_final_answer_count", "nan", "и на сколько часов"),
        ("extend_final_answer_count", "inf", "и на сколько часов"),
        ("warn_at", "80, 50", "Доли должны расти"),
        ("topic", "щщщ", "Такой темы нет"),
    ],
)
async def test_invalid_policy_is_shown_again_with_the_reason(
    console: ConsoleUnderTest, name: str, value: str, said: str
) -> None:
    sent = POLICY | {"resolution_unit": "working", "name": HOSTILE, name: value}
    response = (await _post(console, "/sla-policies/new", key=str(uuid4()), **sent)).response
    assert response.status_code == 422
    assert said in text_of(response)
    assert_escaped(response)


async def test_stale_edit_of_a_policy_is_refused_and_keeps_the_entered_values(
    console: ConsoleUnderTest, own: dict[str, str]
) -> None:
    path = f"/sla-policies/{own['policy_key']}"
    response = (await _post(console, path, version='"9"', **POLICY)).response
    assert response.status_code == 412
    assert "запись изменил коллега" in text_of(response)
    assert 'value="4,5"' in response.text


async def test_policy_gets_a_new_version_and_can_be_ended(console: ConsoleUnderTest, own: dict[str, str]) -> None:
    path = f"/sla-policies/{own['policy_key']}"
    changed = await _post(console, path, version='"1"', **POLICY)
    assert _made(changed) == [("PUT", f"/sla-policies/{own['policy_key']}", 200)]
    ended = await _post(console, f"{path}/end", version='"1"')
    assert note_of(ended.response) == "Норматив больше не действует"


async def test_approval_rule_is_added_and_removed_and_an_equal_one_is_refused(
    console: ConsoleUnderTest, own: dict[str, str]
) -> None:
    page = text_of((await _get(console, "/approval-rules")).response)
    assert "Организация bagulnik" in page
    sent = {"urgency": "high", "organisation": "Организация bagulnik"}
    again = (await _post(console, "/approval-rules", key=str(uuid4()), **sent)).response
    assert again.status_code == 409
    assert "Такое правило уже есть" in text_of(again)
    added = await _post(console, "/approval-rules", key=str(uuid4()), urgency="normal")
    assert note_of(added.response) == "Правило согласования добавлено"
    removed = await _post(console, f"/approval-rules/{own['approval_rule_id']}/removal")
    assert _made(removed) == [("DELETE", f"/approval-rules/{own['approval_rule_id']}", 204)]


async def test_topic_is_shown_and_search_for_an_unknown_topic_finds_none(
    console: ConsoleUnderTest, own: dict[str, str]
) -> None:
    assert "Матрица" in text_of((await _get(console, f"/topics/{own['topic_id']}")).response)
    assert "Такой темы нет" in text_of((await _get(console, "/topics?q=щщщщщ")).response)


async def test_rule_to_change_is_opened_in_the_form(console: ConsoleUnderTest, own: dict[str, str]) -> None:
    path = f"/rules/{await _active(console)}/edit"
    response = (await _post(console, f"{path}/steps?without={own['rule_id']}", change=own["rule_id"])).response
    assert response.headers["location"].endswith("#rule")
    assert query_of(response)["without"] == [own["rule_id"]]


async def test_changes_beyond_the_limit_of_the_address_are_refused_and_the_former_ones_kept(
    console: ConsoleUnderTest,
) -> None:
    path, full = f"/rules/{await _active(console)}/edit", [str(uuid4()) for _ in range(MAX_CHANGES)]
    query = urlencode([("without", one) for one in full])
    sent = {"urgency": "high", "send_to": "moderators"}
    for refused in (
        (await _post(console, f"{path}/steps?{query}", without=str(uuid4()))).response,
        (await _post(console, f"{path}/rules?{query}", **sent)).response,
    ):
        assert "За один раз можно изменить 30 правил" in note_of(refused)
        assert query_of(refused) == {"without": full}


async def test_default_of_a_rule_set_is_changed(console: ConsoleUnderTest, own: dict[str, str]) -> None:
    path = f"/rules/{await _active(console)}/edit"
    to_moderators = (await _post(console, f"{path}/default", send_to="moderators")).response
    assert json.loads(query_of(to_moderators)["default"][0]) == {"send_to": "moderators"}
    chosen = {"send_to": "organisation", "default_organisation": "Организация bagulnik"}
    to_organisation = (await _post(console, f"{path}/default", **chosen)).response
    assert json.loads(query_of(to_organisation)["default"][0]) == {
        "send_to": "organisation", "organisation_id": own["organisation_id"],
    }  # fmt: skip
    nobody = (await _post(console, f"{path}/default", send_to="organisation")).response
    assert (nobody.status_code, "Укажите организацию." in nobody.text) == (422, True)


async def test_rule_set_without_changes_is_not_stored(console: ConsoleUnderTest) -> None:
    visited = await _post(console, f"/rules/{await _active(console)}/edit", note="Проба", key=str(uuid4()))
    assert _made(visited) == []
    assert visited.response.status_code == 422
    assert "Вы ещё ничего не изменили." in visited.response.text


async def test_rule_preview_with_an_unknown_topic_makes_no_call(console: ConsoleUnderTest) -> None:
    visited = await _post(console, f"/rules/{await _active(console)}/bench", text=HOSTILE, topic="щщщ")
    assert _made(visited) == []
    assert visited.response.status_code == 422
    assert "Такой темы нет" in text_of(visited.response)
    assert_escaped(visited.response)


async def test_page_owner_and_its_kind_in_one_rule_are_refused(console: ConsoleUnderTest) -> None:
    path = f"/rules/{await _active(console)}/edit/rules"
    sent = {"send_to": "moderators", "page_owner": "Организация bagulnik", "page_owner_kind": "institution"}
    response = (await _post(console, path, **sent)).response
    assert response.status_code == 422
    assert "Владелец страницы уже указан" in response.text


async def test_invalid_change_of_a_policy_makes_no_call(console: ConsoleUnderTest, own: dict[str, str]) -> None:
    sent = POLICY | {"name": "", "reason": HOSTILE}
    visited = await _post(console, f"/sla-policies/{own['policy_key']}", version='"1"', **sent)
    assert _made(visited) == []
    assert visited.response.status_code == 422
    assert "Введите название норматива." in visited.response.text


async def test_approval_rule_with_an_organisation_and_a_kind_is_refused(console: ConsoleUnderTest) -> None:
    sent = {"organisation": "Организация bagulnik", "organisation_kind": "institution"}
    visited = await _post(console, "/approval-rules", key=str(uuid4()), **sent)
    assert _made(visited) == []
    assert visited.response.status_code == 422
    assert "либо организацию, либо вид" in visited.response.text
