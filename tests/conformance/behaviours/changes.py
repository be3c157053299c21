"""A published reply is edited and withdrawn in the network; ingest recognises these changes as its own."""

from dataclasses import dataclass
from uuid import UUID, uuid4

from services.ingest.networks.catalogue import max_text_length
from shared.networks import NETWORKS
from tests.conformance.behaviour_list import behaviour
from tests.conformance.behaviours.incoming import words
from tests.conformance.behaviours.publishing import RUSSIAN
from tests.conformance.drivers.base import Kind, PublishedReply, WrittenMessage
from tests.conformance.ingest_under_test import IngestUnderTest


@dataclass(frozen=True)
class _Published:
    """A published reply that was read back: its publication, its text, and the row of its message."""

    publication: UUID
    text: str
    thread: str
    message_id: UUID


async def _published(
    system: IngestUnderTest,
    kind: Kind,
    author: str,
    *,
    photo: UUID | None = None,
    board: bool = False,
    text: str | None = None,
) -> _Published:
    under = to = None
    if board:
        to = await system.driver.board(system.page, words("Тема"))
    elif kind == "comment":
        under = await system.driver.post(system.page, words("Пост"))
    asked = await system.driver.citizen(system.page, words("Когда?"), kind, under=under, to=to, author=author)
    row = await system.wait_until_stored(asked)
    is_long = text is not None
    text = text or words("Начнём в среду")
    publication = await system.ask(row["id"], text, photos=[photo] if photo else ())
    await system.wait_until_published(publication)
    if is_long:
        return await _published_in_parts(system, publication, text, asked.thread)
    own = await system.wait_for_community_message(text)
    return _Published(publication, text, asked.thread, own["id"])


async def _published_in_parts(system: IngestUnderTest, publication: UUID, text: str, thread: str) -> _Published:
    async def complete() -> list[PublishedReply] | None:
        shown = [one for one in await system.driver.answers(system.page) if one.thread == thread]
        return shown if " ".join(one.text for one in shown) == text else None

    shown = await system.eventually(complete, "not all parts are published")
    own = await system.wait_for_community_message(shown[-1].text)
    return _Published(publication, text, thread, own["id"])


async def _shown(system: IngestUnderTest, found: _Published) -> list[PublishedReply]:
    return [one for one in await system.driver.answers(system.page) if one.thread == found.thread]


async def _edited(system: IngestUnderTest, found: _Published) -> None:
    """Edit the reply; check network, publication, stored message and events after the page was read again."""
    text = words("Начнём в четверг")
    assert (await system.change(found.publication, text))["status"] == "done"
    assert [one.text for one in await _shown(system, found)] == [text]
    assert (await system.publication(found.publication))["text"] == text
    await system.later_comment_arrived()
    row = await system.wait_until_stored_id(found.message_id)
    assert (row["text"], row["version"], row["publication_id"]) == (text, 2, found.publication)
    assert await system.texts_before(row) == [found.text]
    assert len(await system.events(found.message_id, "message.edited")) == 1
    assert len(await system.events(found.message_id, "message.received")) == 1
    assert len(await system.events(found.publication, "publication.edited")) == 1


async def _withdrawn(system: IngestUnderTest, found: _Published) -> None:
    """Withdraw the reply; check network, stored message and events after the page was read again."""
    assert (await system.change(found.publication, None))["status"] == "done"
    assert await _shown(system, found) == []
    await system.later_comment_arrived()
    row = await system.wait_until_stored_id(found.message_id)
    assert (row["text"], row["deleted_by"]) == (found.text, "community")
    assert len(await system.events(found.message_id, "message.deleted")) == 1
    assert len(await system.events(found.publication, "publication.withdrawn")) == 1
    assert len(await system.events(found.publication, "publication.published")) == 1


@behaviour("changes")
async def comment_of_ours_is_edited(system: IngestUnderTest) -> None:
    await _edited(system, await _published(system, "comment", "700401"))


@behaviour("changes")
async def comment_of_ours_is_withdrawn(system: IngestUnderTest) -> None:
    await _withdrawn(system, await _published(system, "comment", "700402"))


@behaviour("message_changes")
async def message_of_ours_is_edited(system: IngestUnderTest) -> None:
    await _edited(system, await _published(system, "message", "700403"))


@behaviour("message_changes")
async def message_of_ours_is_withdrawn(system: IngestUnderTest) -> None:
    await _withdrawn(system, await _published(system, "message", "700404"))


@behaviour("changes", "boards")
async def comment_in_a_discussion_is_edited_and_another_withdrawn(system: IngestUnderTest) -> None:
    await _edited(system, await _published(system, "comment", "700405", board=True))
    await _withdrawn(system, await _published(system, "comment", "700406", board=True))


@behaviour("changes", "photos")
async def edited_comment_keeps_its_photo(system: IngestUnderTest) -> None:
    found = await _published(system, "comment", "700407", photo=system.photos.add())
    (before,) = await _shown(system, found)
    await system.change(found.publication, words("Починили"))
    (after,) = await _shown(system, found)
    assert len(after.photos) == len(before.photos) == 1


@behaviour("changes", "photos")
async def edit_replaces_the_photos_of_a_comment_where_the_network_allows_it(system: IngestUnderTest) -> None:
    if not NETWORKS[system.driver.network].edits_photos:
        return
    first, second = system.photos.add(), system.photos.add()
    found = await _published(system, "comment", "700414", photo=first)
    (before,) = await _shown(system, found)
    assert (await system.change(found.publication, found.text, photos=[second, first]))["status"] == "done"
    (both,) = await _shown(system, found)
    assert (len(both.photos), both.photos[1], both.text) == (2, before.photos[0], found.text)
    assert (await system.change(found.publication, words("Без фото"), photos=[]))["status"] == "done"
    (none,) = await _shown(system, found)
    assert none.photos == ()


@behaviour("changes")
async def reply_in_parts_is_edited_in_every_part_and_shortened(system: IngestUnderTest) -> None:
    longest = max_text_length(system.driver.network, "comment")
    former, new = (" ".join(f"{word}-{number}" for number in range(longest // 5)) for word in ("слово", "новое"))
    found = await _published(system, "comment", "700415", text=former)
    parts = len(await _shown(system, found))
    assert parts > 1
    assert (await system.change(found.publication, new))["status"] == "done"
    shown = [one.text for one in await _shown(system, found)]
    assert (len(shown), " ".join(shown)) == (parts, new)
    short = words("Коротко")
    assert (await system.change(found.publication, short))["status"] == "done"
    assert [one.text for one in await _shown(system, found)] == [short]
    assert len(await system.events(found.publication, "publication.edited")) == 2


@behaviour("changes")
async def edit_of_a_reply_deleted_by_hand_fails_and_withdrawal_is_done(system: IngestUnderTest) -> None:
    for author, text, status in (("700408", words("Поздно"), "failed"), ("700409", None, "done")):
        found = await _published(system, "comment", author)
        (shown,) = await _shown(system, found)
        gone = WrittenMessage(system.page, "comment", shown.id, shown.thread, "", "", found.text)
        await system.driver.delete(gone, "community")
        ended = await system.change(found.publication, text)
        assert ended["status"] == status
        assert text is None or ended["failure"]["code"] == "reply_gone"
        assert await _shown(system, found) == []


@behaviour("changes", alone=True)
async def edit_after_the_time_to_edit_fails_with_reason(system: IngestUnderTest) -> None:
    kind = system.driver.edit_window_of
    found = await _published(system, kind, "700410")
    async with system.driver.edit_window_over():
        ended = await system.change(found.publication, words("Поздно"))
    assert (ended["status"], ended["failure"]["code"]) == ("failed", system.driver.refusal_codes["too_old"])
    assert RUSSIAN.search(ended["failure"]["message"])
    assert [one.text for one in await _shown(system, found)] == [found.text]
    assert (await system.publication(found.publication))["text"] == found.text


@behaviour("changes", alone=True)
async def change_with_lost_response_is_made_once(system: IngestUnderTest) -> None:
    for author, what in (("700411", "edit"), ("700412", "delete")):
        found = await _published(system, "comment", author)
        await system.driver.fault("lost_response", next=1, method=system.driver.changing_calls[what])
        await (_edited if what == "edit" else _withdrawn)(system, found)
        assert await system.attempts(found.publication) == 1


@behaviour("changes")
async def repeated_change_request_is_made_once(system: IngestUnderTest) -> None:
    found, change, text = await _published(system, "comment", "700413"), uuid4(), words("Один раз")
    for _ in range(2):
        assert (await system.change(found.publication, text, change_id=change))["status"] == "done"
    assert len(await system.events(found.publication, "publication.edited")) == 1
