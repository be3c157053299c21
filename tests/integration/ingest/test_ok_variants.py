"""The OK adapter works with each behaviour that the network's documentation leaves open."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import pytest
import structlog

from services.ingest.networks.calls import CallError, NoValidResponse
from services.ingest.networks.ok.ok_client import OkClient
from services.ingest.networks.ok.ok_network import OkNetwork
from services.ingest.networks.ok.ok_page_lookup import OkPageLookup
from services.ingest.networks.ok.reading import discussion_reader
from services.ingest.networks.ok.reading.discussion_reader import DiscussionReader
from services.ingest.networks.port import (
    Credential,
    OutgoingReply,
    PageRef,
    Photo,
    PhotoTarget,
    PublishOutcomeUnknown,
    PublishRejected,
    ReplyToChange,
    TokenKind,
)
from services.ingest.settings import IngestSettings
from shared import clock
from tests.conftest import TestDatabase
from tests.integration.ingest.conftest import KEYS, TOKEN_FIELDS, Connected, Emulator, connected
from tests.integration.ingest.network_double import network_double
from tests.support.eventually import eventually
from tests.support.sample_images import jpeg

KEYS_OF_SETTINGS: dict[str, Any] = {name.lower(): value for name, value in KEYS.items()}
EMPTY_FORMS = ["omitted", "null", "null_answer"]


class EmulatorTokens:
    """A token pool that always has the given tokens."""

    def __init__(self, tokens: Sequence[dict[str, Any]], page: PageRef) -> None:
        self._tokens = tokens
        self._page = page

    def select(self, network: str, kind: TokenKind, page_id: UUID | None = None, **_: Any) -> Credential:
        """Return the token of this kind; a group's token is that of the page."""
        found = next(
            token
            for token in self._tokens
            if token["kind"] == kind and token.get("page") in {None, self._page.external_id}
        )
        given = {name: found[name] for name in TOKEN_FIELDS & found.keys()}
        return Credential(**given | {"id": UUID(int=1), "network": network, "kind": kind, "page_id": page_id})

    def pages(self, network: str) -> list[PageRef]:
        """Return the page."""
        return [self._page]

    async def wait_for_turn(self, credential: Credential, calls_per_second: float) -> None:
        """Wait for nothing."""

    async def begin_call(self, credential: Credential, method: str) -> dict[str, str]:
        """Allow the call."""
        return {}

    async def record_success(self, credential: Credential, method: str) -> None:
        """Record nothing."""

    async def record_failure(self, *_: Any, **__: Any) -> None:
        """Record nothing."""


@dataclass
class StoredIds:
    """The part of the intake store that a read of a discussion needs: ids of stored comments, and errors."""

    ids: dict[str, datetime] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)

    async def undeleted_ids(self, *_: Any, **__: Any) -> dict[str, datetime]:
        """Return the stored ids."""
        return dict(self.ids)

    async def threads_with_other_count(self, *_: Any, **__: Any) -> dict[str, int]:
        """Return no threads."""
        return {}

    def report_failure(self, page: PageRef, source: str, error: str) -> None:
        """Record the error."""
        self.errors.append(error)


@dataclass
class Adapter:
    """Parts of the adapter of one page, without a database."""

    page: PageRef
    network: OkNetwork
    client: OkClient
    reader: DiscussionReader
    lookup: OkPageLookup
    stored: StoredIds


@asynccontextmanager
async def adapter(url: str, tokens: Sequence[dict[str, Any]], page: str, **more: Any) -> AsyncIterator[Adapter]:
    """Yield an adapter that calls the network at this URL."""
    ref = PageRef(
        id=UUID(int=2),
        organisation_id=UUID(int=3),
        network="ok",
        external_id=page,
        go_live_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    pool: Any = EmulatorTokens(tokens, ref)
    stored = StoredIds()
    intake: Any = stored
    settings = IngestSettings(ok_api_url=url, **KEYS_OF_SETTINGS | more)
    async with aiohttp.ClientSession() as http:
        client = OkClient(http, pool, settings)
        yield Adapter(
            page=ref,
            network=OkNetwork(http, pool, intake, settings),
            client=client,
            reader=DiscussionReader(client, settings),
            lookup=OkPageLookup(http, pool, settings),
            stored=stored,
        )


@pytest.fixture(autouse=True)
def _no_call_limit(ok: Emulator) -> None:
    """Allow any number of calls: `EmulatorTokens` does not space them."""
    ok.post("settings", calls_per_second=0)


@contextmanager
def behaviour(ok: Emulator, **settings: Any) -> Any:
    """Change settings of the emulator until the block ends."""
    before = ok.control.get("/_control/settings").json()
    ok.post("settings", **settings)
    try:
        yield
    finally:
        ok.post("settings", **{name: before[name] for name in settings})


def _calls(ok: Emulator, method: str) -> int:
    items = ok.control.get("/_control/calls").json()["items"]
    return sum(item["accepted"] + item["refused"] for item in items if item["method"] == method)


def _topic(ok: Emulator, page: str) -> str:
    return str(ok.citizen(page, f"Тема {uuid4()}", "wall_post")["id"])


def _outgoing(page: PageRef, topic: str, text: str = "Ответ") -> OutgoingReply:
    return OutgoingReply(id=uuid4(), page=page, kind="comment", thread_key=f"ok:{topic}", reply_to=None, text=text)


async def _row(system: Connected, query: str, *values: Any) -> Any:
    async def look() -> Any:
        return await system.raw_connection.fetchrow(query, *values)

    return await eventually(look)


# --- empty lists ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", EMPTY_FORMS)
async def test_empty_responses_without_a_list_are_read_as_empty(
    ok: Emulator, database: TestDatabase, keys_dir: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discussion_reader, "RECENT", timedelta(0))
    page = ok.page(f"ok_empty_{form}")
    settings = {"ok_api_url": ok.url, "ok_topic_poll_seconds": "1", "callbacks_url": "http://127.0.0.1:9"}
    with behaviour(ok, empty_lists=form):
        async with connected(database, keys_dir, **settings) as system:
            page_id = await system.connect_page("ok", ok, page)
            topic = _topic(ok, page)
            only = ok.citizen(page, f"Единственный {uuid4()}", thread=topic)
            # The marker loses its prefix when the discussion is read again, without new comments.
            await _row(
                system,
                "SELECT 1 FROM threads WHERE thread_key = $1 AND marker NOT LIKE '~%' AND marker LIKE '%|1'",
                f"ok:{topic}",
            )
            ok.post("delete", page=page, id=only["id"], by="author")
            stored = "SELECT 1 FROM messages WHERE external_id = $1 AND deleted_at IS NOT NULL"
            await _row(system, stored, f"{topic}/{only['id']}")
            for kind in ("discussions_poll", "topics_poll", "chats_poll", "callback"):
                source = (
                    "SELECT * FROM sources WHERE page_id = $1 AND kind = $2"
                    " AND last_success_at IS NOT NULL AND consecutive_failures = 0"
                )
                await _row(system, source, page_id, kind)


@pytest.mark.parametrize("form", EMPTY_FORMS)
async def test_reply_is_searched_in_a_discussion_without_comments(ok: Emulator, form: str) -> None:
    page = ok.page(f"ok_silent_{form}")
    topic = _topic(ok, page)
    with behaviour(ok, empty_lists=form):
        async with adapter(ok.url, ok.tokens(), page) as made:
            assert (await made.network.read_thread(_outgoing(made.page, topic))).items == []
            published = await made.network.publish(_outgoing(made.page, topic))
            (found,) = (await made.network.read_thread(_outgoing(made.page, topic))).items
            assert found.external_id == published.external_id
            assert await made.reader.topics_by_ids({"150000000009999": made.page}) == []


INVALID_ANSWERS: dict[str, Any] = {
    "text": "busy",
    "number": 7,
    "a list": [],
    "an object that is not OK's": {"message": "Bad gateway"},
    "more comments but no list": {"has_more": True, "anchor": "x"},
    "a list of another type": {"comments": {"0": {}}, "has_more": False},
}


@pytest.mark.parametrize("answer", INVALID_ANSWERS.values(), ids=INVALID_ANSWERS)
async def test_other_responses_without_a_list_are_not_read_as_empty(answer: Any) -> None:
    tokens = [{"kind": "user", "token": "t", "application_key": "k", "session_secret_key": "s"}]
    async with network_double() as double, adapter(double.url, tokens, "70000000000001") as made:
        double.answer = lambda *_: answer
        credential = made.client.user_session("discussions.getComments")
        with pytest.raises(NoValidResponse):
            await made.client.call(credential, "discussions.getComments", discussionId="1")


@pytest.mark.parametrize("answer", [None, {}, {"groups": None}, [], {"groups": []}])
async def test_missing_group_is_gone_in_each_form_of_an_empty_response(answer: Any) -> None:
    tokens = [{"kind": "user", "token": "t", "application_key": "k", "session_secret_key": "s"}]
    async with network_double() as double, adapter(double.url, tokens, "70000000000001") as made:
        double.answer = lambda *_: answer
        (found,) = await made.lookup.describe([made.page])
        assert found.availability == "gone"


# --- errors of our own requests ------------------------------------------------------------------------


OWN_ERRORS: dict[str, tuple[int, list[str], str]] = {
    "signature": (104, ["discussions.getComments", "mediatopic.getTopics"], "Invalid signature"),
    "permission": (200, ["discussions.getComments", "mediatopic.getTopics"], "Application lacks the permission"),
    "parameter_of_comments": (100, ["discussions.getComments"], "Missing or invalid parameter"),
    "parameter_of_topics": (100, ["mediatopic.getTopics"], "Missing or invalid parameter"),
}


@pytest.mark.parametrize("case", OWN_ERRORS)
async def test_scan_fails_and_is_repeated_after_errors_of_our_own_request(
    ok: Emulator, database: TestDatabase, keys_dir: Path, case: str
) -> None:
    code, methods, words = OWN_ERRORS[case]
    page = ok.page(f"ok_own_{case}")
    names = []
    for _ in range(3):
        topic = _topic(ok, page)
        names += [topic, f"{topic}/{ok.citizen(page, f'Комментарий {uuid4()}', thread=topic)['id']}"]
    ok.post("faults", kind="error", code=code, rate=1, methods=methods)
    settings = {"ok_api_url": ok.url, "ok_topic_poll_seconds": "1", "ok_closed_retry_seconds": "2"}
    async with connected(database, keys_dir, **settings) as system:
        page_id = await system.connect_page("ok", ok, page)
        asked = await system.ingest.client.post(
            f"/api/v1/sources/{page_id}/reconciliations", json={}, headers=system.ingest.headers("operations")
        )
        comparison = UUID(asked.json()["id"])
        shown = await _row(system, "SELECT * FROM reconciliations WHERE id = $1 AND error IS NOT NULL", comparison)
        assert shown["finished_at"] is None
        assert f"error {code}" in shown["error"]
        assert words in shown["error"]
        if code != 100:
            poll = (
                "SELECT * FROM sources WHERE page_id = $1 AND kind = 'discussions_poll' AND last_error IS NOT NULL"
            )
            last_error = (await _row(system, poll, page_id))["last_error"]
            assert words in last_error
            assert "обсуждение" not in last_error, "no discussion is closed"
        ok.control.delete("/_control/faults")
        done = "SELECT * FROM reconciliations WHERE id = $1 AND finished_at IS NOT NULL"
        finished = await _row(system, done, comparison)
        assert (finished["error"], finished["compared"] >= len(names)) == (None, True)
        for name in names:
            await _row(system, "SELECT 1 FROM messages WHERE external_id = $1", name)
        healthy = (
            "SELECT 1 FROM sources WHERE page_id = $1 AND kind = 'discussions_poll' AND consecutive_failures = 0"
        )
        await _row(system, healthy, page_id)


async def test_scan_skips_one_discussion_whose_request_is_refused(ok: Emulator) -> None:
    page = ok.page("ok_one_refused")
    topics = [_topic(ok, page) for _ in range(2)]
    comments = [ok.citizen(page, f"Комментарий {uuid4()}", thread=topic)["id"] for topic in topics]
    async with adapter(ok.url, ok.tokens(), page, ok_comment_fields="") as made:
        await made.client.read_with_any_session("users.getCurrentUser")
        ok.post("faults", kind="error", code=100, next=1, method="discussions.getComments")
        steps = [one async for one in made.network.scan(made.page, clock.now() - timedelta(days=1), {})]
    found = {item.external_id for step in steps for item in step.batch.items if item.kind == "comment"}
    assert f"{topics[0]}/{comments[0]}" in found
    assert steps[-1].cursor == {"step": "done"}
    assert any("не приняли запрос" in error for error in made.stored.errors)


async def test_resumed_scan_skips_several_discussions_whose_requests_are_refused(ok: Emulator) -> None:
    page = ok.page("ok_resumed")
    topics = [_topic(ok, page) for _ in range(3)]
    for topic in topics:
        ok.citizen(page, f"Комментарий {uuid4()}", thread=topic)
    async with adapter(ok.url, ok.tokens(), page, ok_comment_fields="") as made:
        await made.client.read_with_any_session("users.getCurrentUser")
        ok.post("faults", kind="error", code=100, next=2, method="discussions.getComments")
        cursor = {"step": "topics", "after": topics[2]}
        steps = [one async for one in made.network.scan(made.page, clock.now() - timedelta(days=1), cursor)]
    assert steps[-1].cursor == {"step": "done"}
    assert len(made.stored.errors) == 2


async def test_closed_discussion_does_not_make_a_scan_skip_the_refused_ones(ok: Emulator) -> None:
    page = ok.page("ok_closed_and_refused")
    for _ in range(3):
        ok.citizen(page, f"Комментарий {uuid4()}", thread=_topic(ok, page))
    async with adapter(ok.url, ok.tokens(), page, ok_comment_fields="") as made:
        await made.client.read_with_any_session("users.getCurrentUser")
        cursor: dict[str, Any] = {"step": "topics"}
        for _ in range(2):
            ok.post("faults", kind="error", code=100, next=3, method="discussions.getComments")
            ok.post(
                "faults", kind="error", code=455, next=1, method="discussions.getComments"
            )  # takes effect first
            with pytest.raises(CallError, match="error 100"):
                async for one in made.network.scan(made.page, clock.now() - timedelta(days=1), cursor):
                    cursor = dict(one.cursor)
            assert "after" not in cursor


@pytest.mark.parametrize("step", ["topics", "list"])
async def test_scan_ends_after_a_day_of_refusals_of_the_only_discussions(ok: Emulator, step: str) -> None:
    page = ok.page(f"ok_all_refused_{step}")
    for _ in range(2):
        ok.citizen(page, f"Комментарий {uuid4()}", thread=_topic(ok, page))
    ok.post("faults", kind="error", code=100, rate=1, method="discussions.getComments")
    since = clock.now() - timedelta(days=1)
    async with adapter(ok.url, ok.tokens(), page) as made:
        cursor: dict[str, Any] = {"step": step}
        for _ in range(3):  # the time of the first refusal is kept
            with pytest.raises(CallError, match="error 100"):
                async for one in made.network.scan(made.page, since, cursor):
                    cursor = dict(one.cursor)
            started = datetime.fromisoformat(cursor["refused_since"])
            assert clock.now() - started < timedelta(minutes=1)
            assert cursor["step"] == step
        assert len(made.stored.errors) == 6
        cursor["refused_since"] = (started - timedelta(days=1)).isoformat()
        with pytest.raises(CallError) if step == "topics" else nullcontext():
            async for one in made.network.scan(made.page, since, cursor):
                cursor = dict(one.cursor)
        # The next step has a day of its own.
        assert cursor["step"] == ("list" if step == "topics" else "done")


# --- changes without effect ----------------------------------------------------------------------------


@pytest.mark.parametrize("answer", ["false", "zero", "object"])
async def test_unconfirmed_change_has_an_unknown_outcome(ok: Emulator, answer: str) -> None:
    page = ok.page(f"ok_unconfirmed_{answer}")
    topic = _topic(ok, page)
    async with adapter(ok.url, ok.tokens(), page) as made:
        published = await made.network.publish(_outgoing(made.page, topic, "Черновик"))
        reply = ReplyToChange(
            page=made.page, kind="comment", thread_key=f"ok:{topic}", external_id=published.external_id
        )
        with behaviour(ok, changes_answer=answer):
            with pytest.raises(PublishOutcomeUnknown):
                await made.network.edit_reply(reply, "Чистовик")
            with pytest.raises(PublishOutcomeUnknown):
                await made.network.delete_reply(reply)
        assert [one["text"] for one in ok.answers(page)] == ["Черновик"]
        await made.network.edit_reply(reply, "Чистовик")
        assert [one["text"] for one in ok.answers(page)] == ["Чистовик"]
        await made.network.delete_reply(reply)
        assert ok.answers(page) == []


async def test_withdrawal_without_effect_is_read_back_and_repeated(
    ok: Emulator, database: TestDatabase, keys_dir: Path
) -> None:
    page = ok.page("ok_withdrawal")
    topic = _topic(ok, page)
    asked = ok.citizen(page, f"Когда? {uuid4()}", thread=topic)
    settings = {"ok_api_url": ok.url, "ok_call_timeout_seconds": "1"}
    async with connected(database, keys_dir, **settings) as system:
        await system.connect_page("ok", ok, page)
        row = await _row(system, "SELECT * FROM messages WHERE external_id = $1", f"{topic}/{asked['id']}")
        publication = (await system.answer(row["id"], "Номер дома: 7"))["id"]
        await _row(system, "SELECT 1 FROM publications WHERE id = $1 AND status = 'published'", UUID(publication))
        change = {"id": str(uuid4()), "text": None, "on_behalf_of": "someone"}
        with behaviour(ok, changes_answer="false"):
            answer = await system.ingest.client.post(
                f"/internal/publications/{publication}/changes",
                json=change,
                headers=system.ingest.service_headers("appeals"),
            )
            assert answer.status_code == 201, answer.text
            tried = "SELECT * FROM publication_changes WHERE id = $1 AND attempts >= 2"
            assert (await _row(system, tried, UUID(change["id"])))["status"] != "done"
            assert len(ok.answers(page)) == 1
        await _row(
            system, "SELECT 1 FROM publication_changes WHERE id = $1 AND status = 'done'", UUID(change["id"])
        )
        assert ok.answers(page) == []


# --- fields --------------------------------------------------------------------------------------------


async def test_fields_are_asked_for_with_the_names_of_their_objects(ok: Emulator) -> None:
    page = ok.page("ok_fields")
    topic = _topic(ok, page)
    ok.citizen(page, f"Вопрос {uuid4()}", thread=topic)
    async with adapter(ok.url, ok.tokens(), page) as made:
        (comment,) = (await made.reader.comments(made.page, topic, None))[0].items
        assert comment.raw["date_ms"] > 0
        listed = await made.reader.topics(made.page)
        assert listed.counts[topic] == 1
        assert listed.parsed.items[0].author is not None
        assert listed.parsed.items[0].author.name
        assert (await made.lookup.post_reactions([topic]))[topic].comments == 1


@pytest.mark.parametrize("code", [220, 100])
async def test_refused_fields_are_left_out_for_a_while_and_logged(ok: Emulator, code: int) -> None:
    page = ok.page(f"ok_refused_fields_{code}")
    topic = _topic(ok, page)
    ok.citizen(page, f"Вопрос {uuid4()}", thread=topic)

    async def read(made: Adapter) -> int:
        before = _calls(ok, "discussions.getComments")
        (comment,) = (await made.reader.comments(made.page, topic, None))[0].items
        assert abs(comment.written_at - clock.now()) < timedelta(minutes=5)
        return _calls(ok, "discussions.getComments") - before

    with behaviour(ok, unknown_fields=["comment.DATE_MS", "media_topic.*"], field_error=code):
        async with adapter(ok.url, ok.tokens(), page, ok_fields_retry_seconds=1.0) as made:
            with structlog.testing.capture_logs() as logs:
                assert [await read(made) for _ in range(3)] == [2, 1, 1]
                listed = await made.reader.topics(made.page)
            assert (listed.counts, topic in {item.external_id for item in listed.parsed.items}) == ({}, True)
            (about_comments, about_topics) = [one for one in logs if one["event"] == "fields refused"]
            assert about_comments["method"] == "discussions.getComments"
            assert about_topics["method"] == "mediatopic.getTopics"
            assert f"error {code}" in about_comments["error"]
            assert about_comments["retry_in_seconds"] == 1.0
            await asyncio.sleep(1.1)
            assert await read(made) == 2


async def test_other_fields_of_an_object_are_requested_after_one_was_refused() -> None:
    tokens = [{"kind": "user", "token": "t", "application_key": "k", "session_secret_key": "s"}]
    asked: list[str | None] = []

    def answer(_: str, params: dict[str, str]) -> Any:
        asked.append(params.get("fields"))
        if "date_ms" in params.get("fields", ""):
            return {"error_code": 220, "error_msg": "Unknown field"}
        return {"comments": []}

    async with network_double() as double, adapter(double.url, tokens, "70000000000001") as made:
        double.answer = answer
        for _ in range(2):
            await made.reader.comments(made.page, "1", None)
    assert asked == ["comment.*,comment.date_ms", "comment.*", "comment.*"]


async def test_invalid_parameter_besides_the_fields_does_not_stop_asking_for_them(ok: Emulator) -> None:
    page = ok.page("ok_other_parameter")
    topic = _topic(ok, page)
    ok.citizen(page, f"Вопрос {uuid4()}", thread=topic)
    async with adapter(ok.url, ok.tokens(), page) as made:
        with pytest.raises(CallError):
            await made.reader.comments(made.page, topic, "no anchor of OK")
        before = _calls(ok, "discussions.getComments")
        (comment,) = (await made.reader.comments(made.page, topic, None))[0].items
        assert comment.raw["date_ms"] > 0
        assert _calls(ok, "discussions.getComments") == before + 1


# --- removed comments ----------------------------------------------------------------------------------


async def test_only_the_removed_one_of_many_hidden_comments_is_marked_deleted(
    ok: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discussion_reader, "MAX_COMMENT_CHECKS", 3)
    page = ok.page("ok_hidden")
    topic = _topic(ok, page)
    written = [ok.citizen(page, f"{n} {uuid4()}", thread=topic)["id"] for n in range(8)]
    ok.post("page", page=page, comments_share=0)
    ok.post("delete", page=page, id=written[6], by="author")
    async with adapter(ok.url, ok.tokens(), page) as made:
        made.stored.ids = {
            f"{topic}/{one}": clock.now() - timedelta(days=1, seconds=-n) for n, one in enumerate(written)
        }
        intake: Any = made.stored
        found: set[str] = set()
        for _ in range(3):
            before = _calls(ok, "discussions.getComment")
            parsed, _ = await made.reader.comments_with_deletions(made.page, topic, 7, intake)
            found |= {item.external_id for item in parsed.items if item.change == "deleted"}
            assert _calls(ok, "discussions.getComment") - before <= 3
        assert found == {f"{topic}/{written[6]}"}


async def test_comments_are_kept_if_missing_ones_cannot_be_looked_up(ok: Emulator) -> None:
    page = ok.page("ok_no_lookup")
    topic = _topic(ok, page)
    stays, goes = (ok.citizen(page, f"{n} {uuid4()}", thread=topic)["id"] for n in range(2))
    ok.post("delete", page=page, id=goes, by="author")
    ok.post("faults", kind="error", code=3, rate=1, method="discussions.getComment")
    async with adapter(ok.url, ok.tokens(), page) as made:
        made.stored.ids = {f"{topic}/{one}": clock.now() - timedelta(hours=1) for one in (stays, goes)}
        intake: Any = made.stored
        parsed, _ = await made.reader.comments_with_deletions(made.page, topic, 2, intake)
        assert [(item.external_id, item.change) for item in parsed.items] == [(f"{topic}/{stays}", "observed")]


async def test_refused_look_up_of_one_comment_does_not_hide_the_deletion_of_others(ok: Emulator) -> None:
    page = ok.page("ok_refused_lookup")
    topic = _topic(ok, page)
    written = [ok.citizen(page, f"{n} {uuid4()}", thread=topic)["id"] for n in range(3)]
    ok.post("page", page=page, comments_share=0)
    ok.post("delete", page=page, id=written[2], by="author")
    async with adapter(ok.url, ok.tokens(), page) as made:
        made.stored.ids = {f"{topic}/{one}": clock.now() - timedelta(hours=3 - n) for n, one in enumerate(written)}
        intake: Any = made.stored
        ok.post("faults", kind="error", code=300, next=1, method="discussions.getComment")
        parsed, _ = await made.reader.comments_with_deletions(made.page, topic, 2, intake)
        deleted = {item.external_id for item in parsed.items if item.change == "deleted"}
        assert deleted == {f"{topic}/{written[2]}"}


async def test_recent_comment_that_is_missing_is_not_looked_up(ok: Emulator) -> None:
    page = ok.page("ok_recent")
    topic = _topic(ok, page)
    one = ok.citizen(page, f"Только что {uuid4()}", thread=topic)["id"]
    ok.post("page", page=page, comments_share=0)
    ok.post("delete", page=page, id=one, by="author")  # as if a server of OK did not have it yet
    async with adapter(ok.url, ok.tokens(), page) as made:
        intake: Any = made.stored
        for age, expected in ((timedelta(0), []), (timedelta(minutes=2), [f"{topic}/{one}"])):
            made.stored.ids = {f"{topic}/{one}": clock.now() - age}
            parsed, _ = await made.reader.comments_with_deletions(made.page, topic, 1, intake)
            assert [item.external_id for item in parsed.items if item.change == "deleted"] == expected


async def test_citizens_deletion_is_found_although_the_network_hides_and_does_not_list_it(
    ok: Emulator, database: TestDatabase, keys_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discussion_reader, "RECENT", timedelta(0))
    page = ok.page("ok_hidden_deletion")
    async with connected(database, keys_dir, ok_api_url=ok.url) as system:
        await system.connect_page("ok", ok, page)
        topic = _topic(ok, page)
        written = [ok.citizen(page, f"{n} {uuid4()}", thread=topic)["id"] for n in range(3)]
        for one in written:
            await _row(system, "SELECT 1 FROM messages WHERE external_id = $1", f"{topic}/{one}")
        ok.post("page", page=page, comments_share=0)
        ok.post("delete", page=page, id=written[1], by="author")
        gone = "SELECT deleted_by FROM messages WHERE external_id = $1 AND deleted_at IS NOT NULL"
        assert (await _row(system, gone, f"{topic}/{written[1]}"))["deleted_by"] == "unknown"
        kept = "SELECT count(*) FROM messages WHERE thread_key = $1 AND kind = 'comment' AND deleted_at IS NULL"
        assert await system.raw_connection.fetchval(kept, f"ok:{topic}") == 2


# --- photos --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "albums",
    [lambda _: {}, lambda page: {page: "53000000000001"}, lambda _: {"1": "53000000000001"}],
    ids=["no_album", "album_of_the_group", "album_of_another_group"],
)
async def test_photo_is_uploaded_with_its_group_only_into_an_album(
    ok: Emulator, albums: Callable[[str], dict[str, str]]
) -> None:
    page = ok.page("ok_photo_album")
    async with adapter(ok.url, ok.tokens(), page, ok_photo_albums=albums(page)) as made:
        target = PhotoTarget(page=made.page, kind="comment", thread_key="ok:1")
        assert (await made.network.upload_photo(target, Photo("image/jpeg", jpeg()))).isdigit()


async def test_photo_of_a_group_without_album_is_refused(ok: Emulator) -> None:
    page = ok.page("ok_photo_topic")
    async with adapter(ok.url, ok.tokens(), page, ok_photo_albums={page: ""}) as made:
        target = PhotoTarget(page=made.page, kind="comment", thread_key="ok:1")
        with pytest.raises(PublishRejected):
            await made.network.upload_photo(target, Photo("image/jpeg", jpeg()))
