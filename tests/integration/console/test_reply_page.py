"""The page on which replies are written: its content and buttons; entered texts are never lost."""

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest

from services.console.pages.reply import line_diff
from tests.integration.access.all_services import CallerCase
from tests.integration.console.console_under_test import ConsoleUnderTest, Visited
from tests.integration.console.page_reading import note_of
from tests.support.sample_images import jpeg

MODERATOR = CallerCase("moderator")
EXECUTOR = CallerCase("executor")
MANAGER = CallerCase("manager")
AUDITOR = CallerCase("auditor")
HOSTILE = "Ответ\u202e </textarea><script>alert(1)</script> {{ 7*7 }}"
DRAFT = "/appeals/{draft_appeal_id}/reply"
FAILED = "/appeals/{appeal_id}/reply"
WAITING = "/appeals/{on_approval_appeal_id}/reply"


async def _draft(console: ConsoleUnderTest, **changes: str) -> dict[str, str]:
    """Return the form fields of the stored draft as a browser sends them, with these changes."""
    page = (await console.send(EXECUTOR, "GET", console.filled(DRAFT))).response.text
    text = re.search(r'<textarea id="reply-text"[^>]*>\n(.*?)</textarea>', page, re.DOTALL)
    assert text is not None
    fields = {
        name: found[1] if (found := re.search(f'name="{name}" value="([^"]*)"', page)) else ""
        for name in ("reply_id", "version", "key", "message_id")
    }
    return fields | {"text": text[1], "kind": "final", "outcome": ""} | changes


async def _post(
    console: ConsoleUnderTest, who: CallerCase | None, path: str, form: dict[str, str], **options: Any
) -> Visited:
    return await console.send(who, "POST", console.filled(path), data=form, **options)


def _written(page: str) -> list[str]:
    return [text.strip() for text in re.findall(r"<textarea[^>]*>\n(.*?)</textarea>", page, re.DOTALL)]


async def test_editor_shows_message_draft_photo_and_hints(console: ConsoleUnderTest) -> None:
    page = (await console.send(EXECUTOR, "GET", console.filled(DRAFT))).response.text
    assert "Темно: bagulnik 3" in page
    assert _written(page)[0].startswith("Включим: bagulnik")
    assert page.index("Темно: bagulnik 3") < page.index('id="reply-text"')
    assert "Замечания к тексту" in page
    assert 'name="kind" value="interim"' in page
    assert "Отправить ответ <" in page
    assert page.index("Сохранить и выйти") < page.index("Удалить черновик")
    assert 'hx-post="' + console.filled(DRAFT) + '/autosave"' in page


async def test_templates_of_the_organisation_are_offered_and_filled(console: ConsoleUnderTest) -> None:
    page = (await console.send(EXECUTOR, "GET", console.filled(DRAFT))).response.text
    chosen = re.search(r'<option value="([^"]+)">Свет bagulnik', page)
    assert chosen is not None
    form = await _draft(console, do="template", template=chosen[1], text="Моё начало")
    page = (await _post(console, EXECUTOR, DRAFT, form)).response.text
    assert _written(page)[0].replace("\r", "").startswith("Моё начало\n\n")
    assert "Впишите вместо полей: {имя}" in page


async def test_save_of_a_draft_sends_the_version_that_was_shown(console: ConsoleUnderTest) -> None:
    form = await _draft(console, do="save", text="Новый текст")
    visited = await _post(console, EXECUTOR, DRAFT, form)
    assert visited.response.status_code == 303
    assert visited.response.headers["location"] == console.filled(DRAFT)
    assert ("PUT", 200) in [(call.method, call.status) for call in visited.calls]


async def test_empty_text_is_not_sent(console: ConsoleUnderTest) -> None:
    for do in ("save", "submit"):
        visited = await _post(console, EXECUTOR, DRAFT, await _draft(console, do=do, text="  "))
        assert visited.response.status_code == 422
        assert "Напишите ответ" in visited.response.text
        assert "PUT" not in {call.method for call in visited.calls}


async def test_submission_of_a_draft_redirects(console: ConsoleUnderTest) -> None:
    visited = await _post(console, EXECUTOR, DRAFT, await _draft(console, do="submit"))
    assert visited.response.status_code == 303, visited.response.text
    assert [call.path.rpartition("/")[2] for call in visited.calls if call.method == "POST"] == ["submit"]


async def test_interim_reply_without_a_date_is_refused(console: ConsoleUnderTest) -> None:
    form = await _draft(console, do="submit", kind="interim", promised="", text="Ответим позже")
    visited = await _post(console, EXECUTOR, DRAFT, form)
    assert visited.response.status_code == 422
    assert "нужна дата" in visited.response.text
    assert "Ответим позже" in _written(visited.response.text)


async def test_stale_save_shows_both_texts_and_keeps_the_entered_text(console: ConsoleUnderTest) -> None:
    form = await _draft(console, do="save", text="Первая строка\nМоя вторая", version="7")
    response = (await _post(console, EXECUTOR, DRAFT, form)).response
    assert response.status_code == 412
    assert "Черновик изменили, пока вы писали" in response.text
    assert re.search(r"<del>.*Моя вторая</del>", response.text)
    assert re.search(r"<ins>.*Включим: bagulnik</ins>", response.text)
    assert "Первая строка\nМоя вторая" in _written(response.text)
    assert 'value="keep_mine"' in response.text


async def test_own_text_may_replace_the_stored_version_that_was_shown(console: ConsoleUnderTest) -> None:
    current = await _draft(console)
    shown = {"stored_id": current["reply_id"], "stored_version": current["version"]}
    form = current | shown | {"do": "keep_mine", "version": "7", "text": "Мой текст"}
    assert (await _post(console, EXECUTOR, DRAFT, form)).response.status_code == 303


async def test_stored_version_may_be_taken_and_the_entered_text_stays_below_it(console: ConsoleUnderTest) -> None:
    form = await _draft(console, do="take_theirs", version="7", text="Мой текст")
    texts = _written((await _post(console, EXECUTOR, DRAFT, form)).response.text)
    assert texts[0].startswith("Включим: bagulnik")
    assert "Мой текст" in texts[1:]


async def test_first_save_conflicts_with_a_colleagues_draft(console: ConsoleUnderTest) -> None:
    form = await _draft(console, do="save", reply_id="", version="", text="Мой первый текст")
    response = (await _post(console, EXECUTOR, DRAFT, form)).response
    assert response.status_code == 409
    assert "Черновик изменили" in response.text
    assert "Мой первый текст" in _written(response.text)


async def test_autosave_returns_hints_without_the_text(console: ConsoleUnderTest) -> None:
    form = await _draft(console, text="Звоните мне: 8 914 000-00-00")
    response = (await _post(console, EXECUTOR, DRAFT + "/autosave", form)).response
    assert response.status_code == 200
    assert "Черновик сохранён" in response.text
    assert "Не даст отправить" in response.text
    assert "<q" in response.text
    assert 'id="reply-discard" class="reply-danger" hx-swap-oob="outerMorph"' in response.text
    assert "<textarea" not in response.text


async def test_autosave_shows_a_conflict_beside_the_text(console: ConsoleUnderTest) -> None:
    form = await _draft(console, text="Моя строка", version="7")
    response = (await _post(console, EXECUTOR, DRAFT + "/autosave", form)).response
    assert response.status_code == 200
    assert "Черновик изменили" in response.text
    assert "Черновик сохранён" not in response.text


@pytest.mark.parametrize("headers", [{}, {"HX-Request": "true"}], ids=["browser", "htmx"])
async def test_ended_session_loses_no_text(console: ConsoleUnderTest, headers: dict[str, str]) -> None:
    form = await _draft(console, do="submit", text="Длинный текст\nво много строк")
    response = (await _post(console, None, DRAFT, form, headers=headers)).response
    assert response.status_code == 401
    assert "Сессия закончилась" in response.text
    assert "Длинный текст\nво много строк" in _written(response.text)
    assert f'name="version" value="{form["version"]}"' in response.text
    assert "hx-redirect" not in response.headers
    part = (await _post(console, None, DRAFT + "/autosave", form, headers=headers)).response
    assert part.status_code == 200
    assert "Сессия закончилась" in part.text


async def test_ended_session_loses_no_text_for_a_published_reply(console: ConsoleUnderTest) -> None:
    form = {"version": "1", "text": "Уже чиним", "reason": "Не тот адрес", "do": "edit", "key": "k-kept"}
    path = "/appeals/{draft_appeal_id}/replies/{published_reply_id}"
    response = (await _post(console, None, path, form)).response
    assert response.status_code == 401
    for text in ("Уже чиним</textarea>", "Не тот адрес</textarea>", 'name="do" value="edit"'):
        assert text in response.text
    assert f'action="{console.filled(path)}"' in response.text


async def test_reason_of_a_withdrawal_is_kept_after_the_session_ended(console: ConsoleUnderTest) -> None:
    form = {"version": "1", "ground": "insult", "reason": "Грубо", "do": "withdraw", "key": "k-withdrawal"}
    path = "/appeals/{draft_appeal_id}/replies/{published_reply_id}"
    response = (await _post(console, None, path, form)).response
    assert response.status_code == 401
    assert re.search(r'<label for="kept-reason">Что не так</label>\s*<textarea [^>]*>\nГрубо<', response.text)
    assert "Почему исправляете" not in response.text
    for text in ('name="ground" value="insult"', 'name="do" value="withdraw"', "Ответ не удалён из соцсети"):
        assert text in response.text


async def test_page_after_the_end_of_a_session_names_the_photo_that_was_not_saved(
    console: ConsoleUnderTest,
) -> None:
    photo = {"photo": ("яма <1>.jpg", jpeg(4, 4), "image/jpeg")}
    form = await _draft(console, do="add_photo", text="Чиним")
    draft = (await _post(console, None, DRAFT, form, files=photo)).response
    assert draft.status_code == 401
    assert "Фото «яма &lt;1&gt;.jpg» не сохранилось" in draft.text
    path = "/appeals/{draft_appeal_id}/replies/{published_reply_id}"
    edit = {"version": "1", "text": "Уже чиним", "reason": "Не тот адрес", "do": "edit", "key": "k-lost"}
    published = (await _post(console, None, path, edit, files=photo)).response.text
    assert "Файл «яма &lt;1&gt;.jpg» не сохранился" in published
    assert re.search(r'<form [^>]*enctype="multipart/form-data"', published)
    assert re.search(r'<input [^>]*name="photo" type="file" accept="image/jpeg,', published)
    without = (await _post(console, None, path, edit)).response.text
    assert "не сохранился" not in without
    assert 'type="file"' not in without


async def test_reply_editor_focuses_the_text(console: ConsoleUnderTest) -> None:
    page = (await console.send(EXECUTOR, "GET", console.filled(DRAFT))).response.text
    assert re.search(r'<textarea id="reply-text"[^>]* data-begins', page)
    failed = (await console.send(EXECUTOR, "GET", console.filled(FAILED))).response.text
    assert "Не опубликован" in failed
    assert " autofocus" not in failed
    assert " data-begins" not in failed
    refused = (await _post(console, EXECUTOR, DRAFT, await _draft(console, do="save", text=" "))).response.text
    assert re.search(r'<textarea id="reply-text"[^>]* autofocus', refused)


async def test_reply_on_approval_shows_who_may_approve_it(console: ConsoleUnderTest) -> None:
    page = (await console.send(EXECUTOR, "GET", console.filled(WAITING))).response.text
    assert "Кто согласует: модератор центра, руководитель организации, согласующий." in page


@pytest.fixture
async def assigned_to_nobody(console: ConsoleUnderTest) -> AsyncIterator[None]:
    """Remove the assignee of every appeal until the test ends."""
    connection = await console.services.services["appeals"].database.connect("gospablik_owner")
    before = await connection.fetch("SELECT assignee_id, id FROM appeals WHERE assignee_id IS NOT NULL")
    await connection.execute("UPDATE appeals SET assignee_id = NULL")
    yield
    await connection.executemany("UPDATE appeals SET assignee_id = $1 WHERE id = $2", before)
    await connection.close()


@pytest.mark.usefixtures("assigned_to_nobody")
async def test_next_unassigned_appeal_is_offered_after_a_reply(console: ConsoleUnderTest) -> None:
    page = (await console.send(EXECUTOR, "GET", console.filled(WAITING))).response.text
    offered = re.search(r'href="/appeals/([0-9a-f-]{36})" data-key="n"[^>]*>Следующее обращение', page)
    assert offered is not None
    assert offered[1] not in console.filled(WAITING)


async def test_text_is_kept_when_saving_is_forbidden(console: ConsoleUnderTest) -> None:
    response = (await _post(console, AUDITOR, DRAFT, await _draft(console, do="save", text="Чужой"))).response
    assert response.status_code == 403
    assert "Чужой" in _written(response.text)


async def test_hostile_text_is_shown_as_text(console: ConsoleUnderTest) -> None:
    form = await _draft(console, do="save", version="7", text=HOSTILE)
    page = (await _post(console, EXECUTOR, DRAFT, form)).response.text
    assert "<script>alert" not in page
    assert "&lt;/textarea&gt;&lt;script&gt;" in page
    assert "\u202e" not in page
    assert "{{ 7*7 }}" in page


async def test_writer_of_a_reply_is_shown_and_managers_may_take_over(console: ConsoleUnderTest) -> None:
    path = console.filled(WAITING) + "/lease"
    for who, may in ((EXECUTOR, False), (MANAGER, True)):
        part = (await console.send(who, "GET", path)).response.text
        assert "Кто-то bagulnik" in part
        assert ("Дождитесь" not in part) is may
    renewed = await console.send(EXECUTOR, "POST", path)
    assert "Кто-то bagulnik" in renewed.response.text


async def test_reply_lease_is_taken_taken_over_and_released(console: ConsoleUnderTest) -> None:
    taken = await console.send(EXECUTOR, "POST", console.filled(DRAFT) + "/lease")
    assert "Пишете вы" in taken.response.text
    over = await _post(console, MANAGER, DRAFT, {"do": "take_over"})
    assert over.response.status_code == 303
    left = await console.send(EXECUTOR, "POST", console.filled(DRAFT) + "/lease/release")
    assert left.response.status_code == 204
    assert [call.method for call in left.calls] == ["GET", "DELETE"]


async def test_photo_is_uploaded_shown_and_removed(console: ConsoleUnderTest) -> None:
    form = await _draft(console, do="add_photo", text="")
    added = await _post(console, EXECUTOR, DRAFT, form, files={"photo": ("двор.jpg", jpeg(8, 8))})
    assert added.response.status_code == 200, added.response.text[-500:]
    assert "Фото добавлено" in added.response.text
    assert re.search(
        r'name="photo_id" value="[^"]+"><input type="hidden" name="photo_name" value="двор.jpg"',
        added.response.text,
    )
    form = await _draft(console, text="", photo_id="1", photo_name="двор.jpg", photo_removed="1")
    removed = (await _post(console, EXECUTOR, DRAFT, form)).response.text
    assert 'name="photo_id"' not in removed


async def test_photo_over_the_size_limit_of_other_forms_is_parsed(console: ConsoleUnderTest) -> None:
    form = await _draft(console, do="add_photo", text="Мой текст")
    refused = await _post(console, EXECUTOR, DRAFT, form, files={"photo": ("a.jpg", b"x" * (2 << 20))})
    assert refused.response.status_code == 422
    assert "Мой текст" in refused.response.text


async def test_file_other_than_a_photo_is_refused_and_the_text_stays(console: ConsoleUnderTest) -> None:
    form = await _draft(console, do="add_photo", text="Мой текст")
    refused = await _post(console, EXECUTOR, DRAFT, form, files={"photo": ("a.svg", b"<svg/>")})
    assert refused.response.status_code == 422
    assert "Это не фото" in refused.response.text
    assert "Мой текст" in _written(refused.response.text)


async def test_photo_of_a_draft_is_returned_as_an_image(console: ConsoleUnderTest) -> None:
    response = (await console.send(EXECUTOR, "GET", console.filled(DRAFT + "/photos/{attachment_id}"))).response
    assert response.headers["content-type"] == "image/jpeg"
    assert response.content.startswith(b"\xff\xd8")
    assert response.headers["cache-control"] == "no-store"


async def test_failed_reply_is_shown_and_can_be_retried(console: ConsoleUnderTest) -> None:
    page = (await console.send(EXECUTOR, "GET", console.filled(FAILED))).response.text
    assert "Не опубликован." in page
    assert "Включим: bagulnik" in page
    assert 'id="reply-text"' in page
    form = {"do": "retry", "failed_id": console.filled("{reply_id}")}
    visited = await _post(console, EXECUTOR, FAILED, form)
    assert visited.response.status_code == 303, visited.response.text[-500:]
    assert any(call.path.endswith("/retry") and call.status == 202 for call in visited.calls)


async def test_state_fragment_describes_the_reply_on_approval_until_it_is_decided(
    console: ConsoleUnderTest,
) -> None:
    part = (await console.send(EXECUTOR, "GET", console.filled(WAITING) + "/state")).response.text
    assert "Ждёт согласования" in part
    assert "<body" not in part
    assert f'hx-get="{console.filled(WAITING)}/state?waits=true" hx-trigger="every 10s"' in part
    same = (await console.send(EXECUTOR, "GET", console.filled(WAITING) + "/state?waits=true")).response
    assert "Ждёт согласования" in same.text
    decided = (await console.send(EXECUTOR, "GET", console.filled(DRAFT) + "/state?waits=true")).response
    assert (decided.status_code, decided.headers["hx-redirect"]) == (204, console.filled(DRAFT))
    assert 'id="reply-facts" class="row-facts reply-facts" hx-swap-oob="outerMorph"' in part
    page = (await console.send(EXECUTOR, "GET", console.filled(WAITING))).response.text
    assert 'id="reply-text"' not in page
    assert "Снять с согласования" in page


async def test_published_reply_is_edited_and_withdrawn_with_a_reason(console: ConsoleUnderTest) -> None:
    path = "/appeals/{draft_appeal_id}/replies/{published_reply_id}"
    page = (await console.send(MANAGER, "GET", console.filled(path))).response.text
    assert "Исправить в соцсети" in page
    assert "Удалить из соцсети" in page
    assert "Удалить из соцсети" not in (await console.send(EXECUTOR, "GET", console.filled(path))).response.text
    version = re.search(r'name="version" value="(\d+)"', page)
    assert version is not None
    form = {"version": version[1], "ground": "factual_error", "reason": "Не тот адрес", "text": "Уже чиним"}
    for do, route in (("edit", "edits"), ("withdraw", "withdrawal")):
        visited = await _post(console, MANAGER, path, form | {"do": do})
        assert (visited.calls[-1].path.rpartition("/")[2], visited.calls[-1].status) == (route, 202)
        assert visited.response.headers["location"] == console.filled(path)
    kept = re.search(r'name="(keep_[^"]+)"', page)
    photos = {"chooses_photos": "1"} | ({kept[1]: "on"} if kept else {})
    with_photo = await console.send(
        MANAGER,
        "POST",
        console.filled(path),
        data=form | photos | {"do": "edit"},
        files={"photo": ("двор.jpg", jpeg(), "image/jpeg")},
    )
    assert [call.path.rpartition("/")[2] for call in with_photo.calls[1:3]] == ["attachments", "edits"]
    wrong = await console.send(
        MANAGER, "POST", console.filled(path), data=form | {"do": "edit"}, files={"photo": ("двор.jpg", b"x")}
    )
    assert wrong.response.status_code == 422
    assert "Это не фото" in wrong.response.text
    empty = (await _post(console, MANAGER, path, form | {"do": "withdraw", "reason": ""})).response
    assert empty.status_code == 422
    assert "Напишите причину" in empty.text
    stale = (await _post(console, MANAGER, path, form | {"do": "edit", "version": "77"})).response
    assert stale.status_code == 412
    assert "Уже чиним" in _written(stale.text)


async def test_photo_of_a_refused_edit_is_kept_for_the_next_attempt(console: ConsoleUnderTest) -> None:
    path = console.filled("/appeals/{draft_appeal_id}/replies/{published_reply_id}")
    form = {"version": "77", "reason": "Не тот адрес", "text": "Уже чиним", "do": "edit", "chooses_photos": "1"}
    photo = {"photo": ("двор.jpg", jpeg(), "image/jpeg")}
    refused = (await console.send(MANAGER, "POST", path, data=form, files=photo)).response
    assert refused.status_code == 412
    uploaded = re.findall(r'name="(keep_[^"]+)" value="двор.jpg" checked', refused.text)
    assert len(uploaded) == 1
    # The uploaded photo stays in the form after a further refusal.
    again = (await console.send(MANAGER, "POST", path, data=form | {uploaded[0]: "двор.jpg"})).response
    assert re.findall(r'name="(keep_[^"]+)" value="двор.jpg" checked', again.text) == uploaded


async def test_recorded_answer_of_an_appeal_with_a_thread_is_refused(console: ConsoleUnderTest) -> None:
    form = {"do": "record", "channel": "phone", "answered_at": "2026-03-05T10:00", "text": "Сказали по телефону"}
    response = (await _post(console, EXECUTOR, FAILED, form)).response
    assert response.status_code == 409
    assert "Сказали по телефону" in response.text


async def test_too_long_text_is_refused_without_a_comparison(console: ConsoleUnderTest) -> None:
    form = await _draft(console, do="save", text="а" * 20_001, version="7")
    for path, status in ((DRAFT, 422), (DRAFT + "/autosave", 200)):
        visited = await _post(console, EXECUTOR, path, form)
        assert visited.response.status_code == status
        assert "длиннее 20 000 знаков" in visited.response.text
        assert {call.path for call in visited.calls} == {"/me"}
    assert "а" * 20_001 in _written((await _post(console, EXECUTOR, DRAFT, form)).response.text)


async def test_stored_text_that_differs_too_much_is_shown_whole(
    console: ConsoleUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line_diff, "_MOST_PAIRS", 1)
    form = await _draft(console, do="save", version="7", text="Первая\nвторая")
    response = (await _post(console, EXECUTOR, DRAFT, form)).response
    assert response.status_code == 412
    assert "Отличий слишком много" in response.text
    assert "<del>" not in response.text
    assert "Первая\nвторая" in _written(response.text)
    assert re.search(
        r"<details open><summary>Сохранённая версия целиком</summary>.*Включим: bagulnik", response.text
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"do": "retry", "failed_id": "../../close"},
        {"do": "keep_mine", "stored_id": "../../close"},
        {"do": "discard", "reply_id": "../../close"},
    ],
)
async def test_invalid_id_gets_404_and_causes_no_further_api_call(
    console: ConsoleUnderTest, fields: dict[str, str]
) -> None:
    visited = await _post(console, EXECUTOR, DRAFT, {"text": "Текст", "kind": "final"} | fields)
    assert visited.response.status_code == 404
    assert [call.path for call in visited.calls] == ["/me"]


async def test_text_that_an_earlier_submission_stored_counts_as_saved(console: ConsoleUnderTest) -> None:
    visited = await _post(console, EXECUTOR, DRAFT, await _draft(console, do="save", version="7"))
    assert [call.status for call in visited.calls if call.method == "PUT"] == [412]
    assert visited.response.status_code == 303
    assert note_of(visited.response) == "Черновик сохранён"


@pytest.mark.parametrize(
    ("text", "made", "note"),
    [("Новый текст", ["PUT", "DELETE"], "Черновик сохранён"), (" ", ["DELETE"], "")],
    ids=["with text", "without"],
)
async def test_leaving_the_editor_saves_the_text_and_releases_the_lease(
    console: ConsoleUnderTest, text: str, made: list[str], note: str
) -> None:
    visited = await _post(console, EXECUTOR, DRAFT, await _draft(console, do="leave", text=text))
    assert [call.method for call in visited.calls if call.method != "GET"] == made
    assert visited.response.headers["location"] == console.filled("/appeals/{draft_appeal_id}")
    assert note_of(visited.response) == note


async def test_text_is_kept_when_the_lease_is_taken_over(console: ConsoleUnderTest) -> None:
    response = (await _post(console, MANAGER, DRAFT, await _draft(console, do="take_over", text="Мой"))).response
    assert response.status_code == 200
    assert "Теперь пишете вы." in response.text
    assert "Мой" in _written(response.text)


async def test_text_is_kept_when_the_colleagues_draft_is_no_draft_any_more(console: ConsoleUnderTest) -> None:
    response = (await _post(console, EXECUTOR, WAITING, {"do": "take_theirs", "text": "Мой текст"})).response
    assert response.status_code == 200
    assert "Ваш текст не отправлен" in response.text
    assert "Мой текст" in _written(response.text)


async def test_discarded_draft_is_deleted_in_the_version_that_was_shown(console: ConsoleUnderTest) -> None:
    form = await _draft(console, do="discard")
    visited = await _post(console, EXECUTOR, DRAFT, form)
    assert [(call.method, call.status) for call in visited.calls if call.method != "GET"] == [("DELETE", 204)]
    assert note_of(visited.response) == "Черновик удалён"
    stale = (await _post(console, EXECUTOR, DRAFT, form | {"version": "7"})).response
    assert (stale.status_code, note_of(stale)) == (412, "")


@pytest.mark.parametrize(
    ("do", "words"), [("template", "Выберите шаблон."), ("add_photo", "Выберите фото: JPEG, PNG или WebP")]
)
async def test_button_without_a_choice_says_what_to_choose_and_keeps_the_text(
    console: ConsoleUnderTest, do: str, words: str
) -> None:
    response = (await _post(console, EXECUTOR, DRAFT, await _draft(console, do=do, text="Мой текст"))).response
    assert response.status_code == 422
    assert words in response.text
    assert "Мой текст" in _written(response.text)
