"""The moderators' queue: the content of its page, the effect of each decision, and refused decisions."""

import gzip
import html
import json
import re
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import unquote
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from starlette.datastructures import QueryParams

from services.console.pages.queue.queue_state import QueueState
from services.console.words.marked_words import Part, marked, reasons
from shared.database.sessions import WriteSession, create_engine
from shared.tables import appeals, appeals_classification, ingest
from tests.integration.access.all_services import CallerCase
from tests.integration.access.sample_data import THEN
from tests.integration.console.console_under_test import ConsoleUnderTest, Visited
from tests.integration.console.refused_calls import answer_calls, problem

MODERATOR = CallerCase("moderator")
EXECUTOR = CallerCase("executor")
SWAP = {"HX-Request": "true"}
HOSTILE = '<script>alert(1)</script> Когда починят дорогу? <img src=x onerror="alert(2)">\u202e'
WHY = "Вопрос: «когда починят»; тема «Дороги»: «дорога»"


@pytest.fixture(scope="module")
async def waiting(console: ConsoleUnderTest) -> AsyncIterator[Mapping[str, UUID]]:
    """Three appeals in triage: an unclear comment, a later urgent one, and one entered manually at the moment of
    the first; and a message that needs no answer.
    """
    things = console.services.samples["own"]
    engine = create_engine(console.services.services["appeals"].database.url("gospablik_owner"), name="queue")
    async with async_sessionmaker(engine, class_=WriteSession)() as session, session.begin():
        unclear = await _appeal(session, things, "unclear", text=HOSTILE, hours=1, needs_answer="unsure")
        urgent = await _appeal(
            session,
            things,
            "urgent",
            text="Оборван провод",
            hours=2,
            urgency="high",
            triage_reason="no_role_holder",
        )
        by_hand = await _appeal(session, things, "by_hand", text="Звонили о дороге", hours=1, source="phone")
        await _message(session, things, "unneeded", text="Нам <b>нужен</b> ответ?", hours=4, needs_answer="no")
    yield {"unclear": unclear, "urgent": urgent, "by_hand": by_hand}
    async with async_sessionmaker(engine, class_=WriteSession)() as session, session.begin():
        of_messages = select(ingest.Message.id).where(ingest.Message.external_id.startswith("queue_"))
        for table in (appeals.AppealMessage, appeals_classification.Classification):
            await session.execute(delete(table).where(table.message_id.in_(of_messages)))
        await session.execute(delete(ingest.Message).where(ingest.Message.id.in_(of_messages)))
        await session.execute(delete(appeals.Appeal).where(appeals.Appeal.id.in_([unclear, urgent, by_hand])))
    await engine.dispose()


async def _appeal(
    session: AsyncSession,
    things: Mapping[str, Any],
    name: str,
    *,
    text: str,
    hours: int,
    urgency: str = "normal",
    needs_answer: str = "yes",
    source: str | None = None,
    triage_reason: str = "need_unclear",
) -> UUID:
    at = THEN - timedelta(days=30) + timedelta(hours=hours)
    suggestion = {"organisation_id": str(things["organisation_id"]), "confidence": 0.62, "why": "тема «Дороги»"}
    route = {
        "reason": "Не ясно, требуется ли ответ", "rule_id": None, "confidence": 0.0, "suggestions": [suggestion],
        "triage_reason": triage_reason, "suggested_organisation_id": str(things["organisation_id"]),
    }  # fmt: skip
    of_network = {"page_id": things["page_id"], "network": "vk", "thread_key": f"vk:-1_{name}", "author_key": name}
    appeal = appeals.Appeal(
        status="triage", text=text, written_at=at, opened_at=at, urgency=urgency, route=route, source=source,
        **({} if source else of_network | {"url": f"https://vk.com/{name}"}),
    )  # fmt: skip
    session.add(appeal)
    await session.flush()
    if source:
        return appeal.id
    message_id = await _message(session, things, name, text=text, hours=hours, needs_answer=needs_answer)
    session.add(appeals.AppealMessage(message_id=message_id, appeal_id=appeal.id))
    await session.flush()
    return appeal.id


async def _message(
    session: AsyncSession, things: Mapping[str, Any], name: str, *, text: str, hours: int, needs_answer: str
) -> UUID:
    at = THEN - timedelta(days=30) + timedelta(hours=hours)
    message = ingest.Message(
        kind="comment", external_id=f"queue_{name}", organisation_id=things["organisation_id"],
        from_community=False, text=text, attachments=[], url=f"https://vk.com/{name}", history=False,
        source_kind="wall_poll", written_at=at, received_at=at, raw={}, page_id=things["page_id"], network="vk",
        thread_key=f"vk:-1_{name}", author_key=name,
    )  # fmt: skip
    session.add(message)
    await session.flush()
    session.add(
        appeals_classification.Classification(
            message_id=message.id, needs_answer=needs_answer, type="question", urgency="normal", why=WHY,
            topic_id=things["topic_id"], topic_confidence=0.4, needs_answer_confidence=0.5, language="ru",
            top3=[], classified_by="model:test",
        )
    )  # fmt: skip
    await session.flush()
    return message.id


async def shown(console: ConsoleUnderTest, address: str = "/queue") -> str:
    response = (await console.send(MODERATOR, "GET", address)).response
    assert response.status_code == 200, response.text[-1000:]
    return response.text


def fields(page: str, action: str) -> tuple[str, dict[str, str]]:
    """Return the address and the hidden fields of the first form whose action contains this text."""
    form = re.search(rf'<form method="post" action="([^"]*{action}[^"]*)".*?</form>', page, re.DOTALL)
    assert form is not None, action
    found = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', form[0])
    return html.unescape(form[1]), {name: html.unescape(value) for name, value in found}


async def decide(
    console: ConsoleUnderTest, page: str, action: str, *, swap: bool = False, **given: Any
) -> Visited:
    path, hidden = fields(page, action)
    visited = await console.send(MODERATOR, "POST", path, data=hidden | given, headers=SWAP if swap else {})
    for call in visited.calls:
        assert console.documented(call) is not None, call
    return visited


def changes(visited: Visited) -> list[str]:
    return [f"{call.path.rsplit('/', 1)[-1]} {call.status}" for call in visited.calls if call.method != "GET"]


def note_of(response: httpx.Response) -> dict[str, Any]:
    note: dict[str, Any] = json.loads(unquote(response.cookies["__Host-gospablik-note"].strip('"')))
    return note


async def test_urgent_appeal_comes_first_with_suggested_organisations_by_number_key(
    console: ConsoleUnderTest, waiting: Mapping[str, UUID]
) -> None:
    page = await shown(console)
    assert f"/queue/{waiting['urgent']}/assignment" in page
    assert "осталось 3" in page
    assert re.search(r'value="[0-9a-f-]{36}" data-key="1"[^>]*Организация bagulnik', page)
    assert "тема «Дороги», 62" in page
    assert "Страница bagulnik 1" in page
    for key in ("0", "n", "o", "t", "x", "z", "e", "m"):
        assert f'data-key="{key}"' in page


async def test_postponed_appeals_come_after_all_others(
    console: ConsoleUnderTest, waiting: Mapping[str, UUID]
) -> None:
    address, seen = "/queue", []
    for _ in range(3):
        page = await shown(console, address)
        seen.append(re.search(r"/queue/([0-9a-f-]{36})/assignment", page)[1])  # type: ignore[index]
        address = html.unescape(re.search(r'href="([^"]*)"[^>]*data-key="z"', page)[1])  # type: ignore[index]
    assert seen == [str(waiting[name]) for name in ("urgent", "unclear", "by_hand")]
    page = await shown(console, address)
    assert "Отложено: 3" in page
    assert 'href="/queue"' in page


async def test_citizens_text_is_escaped_with_the_deciding_words_marked(
    console: ConsoleUnderTest, waiting: Mapping[str, UUID]
) -> None:
    page = await shown(console, f"/queue?appeal={waiting['unclear']}")
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert "\u202e" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert '<mark title="Вопрос">Когда починят</mark>' in page
    assert '<mark title="тема «Дороги»">дорогу</mark>' in page


async def test_decision_shows_the_next_appeal_and_keeps_the_address(
    console: ConsoleUnderTest, waiting: Mapping[str, UUID]
) -> None:
    page = await shown(console)
    organisation_id = console.services.samples["own"]["organisation_id"]
    visited = await decide(console, page, "assignment", swap=True, organisation_id=organisation_id)
    response = visited.response
    assert response.status_code == 200, response.text[-1000:]
    assert changes(visited) == ["triage 200"]
    assert response.headers["hx-replace-url"] == "/queue"
    assert f"/queue/{waiting['unclear']}/assignment" in response.text
    assert "осталось 2" in response.text
    assert "Назначено: Организация bagulnik" in response.text
    assert re.search(rf"/queue/{waiting['urgent']}/take-back\?version=\d+", response.text)
    assert len(visited.calls) <= 12
    assert len(gzip.compress(response.content)) <= 15_000


async def test_decision_without_a_script_redirects_to_the_queue(
    console: ConsoleUnderTest, waiting: Mapping[str, UUID]
) -> None:
    page = await shown(console, "/queue?triage_reason=no_role_holder")
    organisation_id = console.services.samples["own"]["organisation_id"]
    response = (await decide(console, page, "assignment", organisation_id=organisation_id)).response
    assert (response.status_code, response.headers["location"]) == (303, "/queue?triage_reason=no_role_holder")
    note = note_of(response)
    assert note["text"].startswith("Назначено: Организация bagulnik")
    path = f"/queue/{waiting['urgent']}/take-back?triage_reason=no_role_holder&version="
    assert note["undo"]["path"].startswith(path)


@pytest.mark.parametrize("name", ["unclear", "by_hand"])
@pytest.mark.parametrize(
    ("reason", "call"), [("", "triage 200"), ("thanks", "triage 200"), ("region", "moves 200")]
)
async def test_decision_that_no_answer_is_needed_ends_the_appeal(
    console: ConsoleUnderTest, waiting: Mapping[str, UUID], name: str, reason: str, call: str
) -> None:
    page = await shown(console, f"/queue?appeal={waiting[name]}")
    visited = await decide(console, page, "no-answer", reason=reason)
    assert changes(visited) == ["moves 200" if name == "by_hand" else call]
    note = note_of(visited.response)
    assert note["text"].startswith("Ответ не нужен: обращение №")
    assert note["undo"]["path"].startswith(f"/queue/{waiting[name]}/take-back?version=")


async def test_decision_about_an_answered_appeal_offers_no_undo(
    console: ConsoleUnderTest, waiting: Mapping[str, UUID]
) -> None:
    organisation_id = console.services.samples["own"]["organisation_id"]
    connection = await console.services.services["appeals"].database.connect("appeals")
    answered = "UPDATE appeals SET first_response_at = $2 WHERE id = $1"
    try:
        await connection.execute(answered, waiting["unclear"], THEN)
        page = await shown(console, f"/queue?appeal={waiting['unclear']}")
        visited = await decide(console, page, "assignment", organisation_id=organisation_id)
    finally:
        await connection.execute(answered, waiting["unclear"], None)
        await connection.close()
    assert changes(visited) == ["triage 200"]
    assert note_of(visited.response)["undo"] is None


@pytest.mark.parametrize("name", ["unclear", "by_hand"])
async def test_corrected_topic_is_sent_as_a_decision(
    console: ConsoleUnderTest, waiting: Mapping[str, UUID], name: str
) -> None:
    page = await shown(console, f"/queue?appeal={waiting[name]}")
    visited = await decide(console, page, "/topic", topic_id=console.services.samples["own"]["topic_id"])
    assert changes(visited) == ["triage 200"]
    assert note_of(visited.response)["text"].startswith("Тема исправлена.")


async def test_entered_location_is_sent_and_an_unknown_one_is_refused(
    console: ConsoleUnderTest, waiting: Mapping[str, UUID]
) -> None:
    page = await shown(console, f"/queue?appeal={waiting['urgent']}")
    oktmo = re.search(r'<option value="(\d{8})">', page)
    assert oktmo is not None
    visited = await decide(console, page, "location", municipality=oktmo[1])
    assert changes(visited) == ["triage 200"]
    assert note_of(visited.response)["text"].startswith("Место указано.")
    wrong = await decide(console, page, "location", municipality="00000000")
    assert wrong.response.status_code == 422
    assert 'class="refusal"' in wrong.response.text


async def test_appeal_changed_meanwhile_is_shown_again(
    console: ConsoleUnderTest, waiting: Mapping[str, UUID]
) -> None:
    page = await shown(console)
    organisation_id = console.services.samples["own"]["organisation_id"]
    visited = await decide(console, page, "assignment", organisation_id=organisation_id, version=99)
    assert visited.response.status_code == 412
    assert changes(visited) == ["triage 412"]
    assert "обращение изменилось" in visited.response.text
    assert f"/queue/{waiting['urgent']}/assignment" in visited.response.text


async def test_classification_changed_meanwhile_is_shown_again(
    console: ConsoleUnderTest, waiting: Mapping[str, UUID]
) -> None:
    page = await shown(console)
    organisation_id = console.services.samples["own"]["organisation_id"]
    visited = await decide(
        console, page, "assignment", swap=True, organisation_id=organisation_id, classification_version=99
    )
    assert changes(visited) == ["triage 412"]
    assert visited.response.status_code == 412
    assert "обращение изменилось" in visited.response.text
    assert f"/queue/{waiting['urgent']}/assignment" in visited.response.text
    assert visited.response.headers["hx-replace-url"] == "/queue"


async def test_assignment_to_an_unknown_organisation_is_refused_beside_the_form(
    console: ConsoleUnderTest, waiting: Mapping[str, UUID]
) -> None:
    page = await shown(console)
    visited = await decide(console, page, "assignment", organisation_id=str(uuid4()))
    assert visited.response.status_code == 422
    assert 'class="refusal" role="alert"' in visited.response.text
    assert f"/queue/{waiting['urgent']}/assignment" in visited.response.text


async def test_appeal_decided_by_a_colleague_is_skipped_with_a_note(
    console: ConsoleUnderTest, waiting: Mapping[str, UUID]
) -> None:
    things = console.services.samples["own"]
    data = {"version": 1, "organisation_id": str(things["organisation_id"])}
    visited = await console.send(MODERATOR, "POST", f"/queue/{things['appeal_id']}/assignment", data=data)
    assert changes(visited) == ["triage 412"]
    assert (visited.response.status_code, visited.response.headers["location"]) == (303, "/queue")
    note = note_of(visited.response)
    assert note["kind"] == "failed"
    assert "назначено: Организация bagulnik" in note["text"]


async def test_decision_is_undone_and_the_appeal_is_shown_again(console: ConsoleUnderTest) -> None:
    path = console.filled("/queue/{phone_appeal_id}/take-back")
    visited = await console.send(MODERATOR, "POST", f"{path}?version=1")
    assert changes(visited) == ["undo 200"]
    assert visited.response.headers["location"] == console.filled("/queue?appeal={phone_appeal_id}")
    assert "снова в очереди" in note_of(visited.response)["text"]
    changed = await console.send(MODERATOR, "POST", f"{path}?version=2")
    assert changes(changed) == ["undo 412"]
    assert note_of(changed.response)["kind"] == "failed"


async def test_undo_without_a_decision_is_refused(console: ConsoleUnderTest) -> None:
    appeal_id = console.filled("{second_assigned_appeal_id}")
    visited = await console.send(MODERATOR, "POST", f"/queue/{appeal_id}/take-back?version=1")
    assert changes(visited) == ["undo 409"]
    assert note_of(visited.response)["kind"] == "failed"


@pytest.mark.parametrize("path", ["assignment", "no-answer", "topic", "matter"])
async def test_decision_by_staff_is_refused(console: ConsoleUnderTest, path: str) -> None:
    things = console.services.samples["own"]
    data = {"version": 1, "topic_id": things["topic_id"], "message_id": things["message_id"], "key": "k" * 20,
            "decision": "keep"}  # fmt: skip
    visited = await console.send(EXECUTOR, "POST", f"/queue/{things['appeal_id']}/{path}", data=data)
    assert visited.response.status_code == 403
    assert changes(visited) == []


@pytest.mark.parametrize(
    ("route", "words"),
    [
        ("/queue/organisations?organisation_q=bagulnik", "Организация bagulnik"),
        ("/queue/topics?topic_q=Матрица", "Матрица"),
    ],
)
async def test_found_organisations_and_topics_are_shown_as_buttons(
    console: ConsoleUnderTest, route: str, words: str
) -> None:
    found = await shown(console, route)
    assert f"<strong>{words}</strong>" in found
    assert "<body" not in found
    nothing = await shown(console, f"{route.partition('=')[0]}=%3Cscript%3Exyzzy")
    assert "Попробуйте другие слова" in nothing


async def test_search_without_script_opens_the_results(
    console: ConsoleUnderTest, waiting: Mapping[str, UUID]
) -> None:
    page = await shown(console, f"/queue?appeal={waiting['unclear']}&organisation_q=bagulnik")
    opened = re.search(r"<details[^>]*queue-other[^>]* open.*?</details>", page, re.DOTALL)
    assert opened is not None
    assert "Организация bagulnik" in opened[0]


@pytest.mark.parametrize(
    ("decision", "status", "words"), [("keep", 303, ""), ("split_off", 409, "состояние записи изменилось")]
)
async def test_decision_about_another_matter_is_sent_and_a_conflict_is_shown(
    console: ConsoleUnderTest, decision: str, status: int, words: str
) -> None:
    page = await shown(console, "/queue/matters")
    assert "Другая тема" in page
    visited = await decide(console, page, "/matter", decision=decision)
    assert visited.response.status_code == status
    assert words in visited.response.text
    assert [one.split()[0] for one in changes(visited)] == ["matter-decisions"]


@pytest.mark.parametrize("needs_answer", ["false", "true"])
@pytest.mark.usefixtures("waiting")
async def test_review_of_a_message_that_needs_no_answer_sends_a_decision(
    console: ConsoleUnderTest, needs_answer: str
) -> None:
    page = await shown(console, "/queue/reviews")
    assert "Нам &lt;b&gt;нужен&lt;/b&gt; ответ?" in page
    visited = await decide(console, page, "/queue/reviews/", needs_answer=needs_answer)
    assert visited.response.status_code in {303, 409}, visited.response.text[-500:]
    assert [one.split()[0] for one in changes(visited)] == ["triage"]


def test_deciding_words_are_marked_in_any_form() -> None:
    text = "Ёлка не убрана, улицу не чистят"
    assert marked(text, "Жалоба: «не чистят»; тема «Дом: двор»: «улица», «елка», «сад»; место: «на кабанск»") == [
        Part("Ёлка", "тема «Дом: двор»"), Part(" не убрана, "), Part("улицу", "тема «Дом: двор»"), Part(" "),
        Part("не чистят", "Жалоба"),
    ]  # fmt: skip


@pytest.mark.parametrize("why", ["", "Решение модератора", "«", "тема: ", ": «»", "а: «(»", "а: «.*»"])
def test_explanation_that_quotes_no_words_of_the_text_marks_nothing(why: str) -> None:
    assert marked("Текст как текст", why) == [Part("Текст как текст")]


def test_explanation_is_split_into_labelled_parts() -> None:
    found = reasons("Вопрос: «когда», «?»; место: страница: Комитет; нет воды: «водой»")
    assert [(one.label, one.words) for one in found if one.words] == [
        ("Вопрос", ("когда", "?")), ("нет воды", ("водой",)),
    ]  # fmt: skip


def test_address_of_the_queue_does_not_grow_with_postponed_appeals() -> None:
    state = QueueState(("returned",))
    once = state.without({"id": "a", "opened_at": "2026-03-04T02:00:00Z"}, urgent=False)
    again = once.without({"id": "b", "opened_at": "2026-03-04T03:00:00Z"}, urgent=False)
    assert len(again.query) == len(once.query)
    assert again.from_start() == state


def test_address_of_the_queue_has_all_postponed_appeals_of_one_moment() -> None:
    state = QueueState()
    for appeal_id in ("a", "b"):
        state = state.without({"id": appeal_id, "opened_at": "2026-03-04T02:00:00Z"}, urgent=True)
    assert state.query == "urgent_after=2026-03-04T02%3A00%3A00Z&urgent_skipped=a&urgent_skipped=b"
    assert QueueState.of(QueryParams(state.query)) == state
    assert state.unskipped([{"id": "b"}, {"id": "c"}]) == [{"id": "c"}]


@pytest.mark.parametrize("urgent", [True, False])
def test_postponed_appeals_of_one_moment_never_fill_the_page_of_the_queue(urgent: bool) -> None:
    state = QueueState()
    for number in range(200):
        state = state.without({"id": str(number), "opened_at": "2026-03-04T02:00:00Z"}, urgent=urgent)
        assert state.parameters(1, urgent=urgent)["limit"] > len(state.skipped + state.urgent_skipped)
    assert state.parameters(1, urgent=urgent)["opened_from"] == "2026-03-04T02:00:00.000001+00:00"


async def test_address_of_an_appeal_that_left_the_queue_shows_the_next_one(
    console: ConsoleUnderTest, waiting: Mapping[str, UUID]
) -> None:
    page = await shown(console, console.filled("/queue?appeal={appeal_id}"))
    assert f"/queue/{waiting['urgent']}/assignment" in page
    assert console.filled("/queue/{appeal_id}/assignment") not in page


@pytest.mark.parametrize(
    ("actor", "kind", "words"),
    [
        (None, "failed", "уже разобрал(а) коллега (объединено). Показано следующее"),
        ("moderator", "done", "вы уже разобрали (закрыто)"),
    ],
)
async def test_repeated_decision_says_who_decided_first(
    console: ConsoleUnderTest, monkeypatch: pytest.MonkeyPatch, actor: str | None, kind: str, words: str
) -> None:
    path = console.filled("/queue/{second_merged_appeal_id}/assignment")
    answer_calls(monkeypatch, r"POST .*/triage", problem(409))
    if actor is not None:
        me = {"id": console.services.subject(CallerCase(actor)), "name": "Я"}
        decided = {"status": "closed", "organisation": None, "number": 17, "timeline": [{"actor": me}]}
        answer_calls(monkeypatch, console.filled(r"GET /appeals/{second_merged_appeal_id}"), decided)
    response = (await console.send(MODERATOR, "POST", path, data={"version": 1})).response
    assert response.headers["location"] == "/queue"
    note = note_of(response)
    assert (note["kind"], words in note["text"]) == (kind, True)


@pytest.mark.usefixtures("waiting")
async def test_stale_review_is_shown_again_at_the_address_of_the_list(console: ConsoleUnderTest) -> None:
    page = await shown(console, "/queue/reviews")
    visited = await decide(console, page, "/queue/reviews/", needs_answer="false", version=99)
    assert visited.response.status_code == 412
    assert "запись изменил коллега" in visited.response.text
    assert visited.response.headers["hx-replace-url"] == "/queue/reviews"
