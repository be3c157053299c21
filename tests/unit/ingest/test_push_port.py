"""Parsing of pushed events: sender, event id, and confirmation codes."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from unittest import mock
from uuid import UUID

import pytest

from emulators.ok.settings import OkSettings
from emulators.vk.settings import VkSettings
from services.ingest.callbacks import write_batcher
from services.ingest.networks import catalogue
from services.ingest.networks.calls import NoUsableToken
from services.ingest.networks.port import IncomingItem, PageRef, ParsedBatch, RegisteredCallback
from services.ingest.networks.push_port import InvalidPush, PushEndpoint, PushServices
from services.ingest.networks.vk.push import callback_events
from services.ingest.networks.vk.push.callback_events import VkConfirmation, parse_callback_event, read_claim
from services.ingest.settings import IngestSettings

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PAGE = PageRef(id=UUID(int=1), organisation_id=UUID(int=2), network="vk", external_id="101", go_live_at=NOW)
COMMENT = {"id": 5, "from_id": 7, "date": 1767225600, "text": "Текст", "post_id": 12}


def test_secret_is_removed_from_the_event() -> None:
    event = {"type": "wall_reply_new", "group_id": 101, "secret": "s3cret", "object": {}}
    claim = read_claim(event)
    assert (claim.page, claim.secret, claim.wants_confirmation) == ("101", "s3cret", False)
    assert "secret" not in event


def test_confirmation_request_is_recognised() -> None:
    claim = read_claim({"type": "confirmation", "group_id": "101"})
    assert (claim.page, claim.secret, claim.wants_confirmation) == ("101", None, True)


@pytest.mark.parametrize(
    ("event", "pointer"),
    [
        ({"group_id": 101}, "/type"),
        ({"type": 7, "group_id": 101}, "/type"),
        *(({"type": "confirmation", "group_id": group}, "/group_id") for group in (None, 0, -1, True, "x", "¹")),
    ],
)
def test_event_without_type_or_community_is_invalid(event: dict[str, Any], pointer: str) -> None:
    with pytest.raises(InvalidPush) as raised:
        read_claim(event)
    assert raised.value.pointer == pointer


def test_event_without_an_id_gets_one_from_its_content() -> None:
    event = {"type": "wall_reply_new", "group_id": 101, "object": COMMENT}
    first, second = parse_callback_event(event, PAGE), parse_callback_event(dict(event), PAGE)
    other = parse_callback_event(event | {"object": COMMENT | {"text": "Другой"}}, PAGE)
    named = parse_callback_event(event | {"event_id": "e1"}, PAGE)
    assert first is not None
    assert second is not None
    assert other is not None
    assert named is not None
    assert first.push_event_id == second.push_event_id != other.push_event_id
    assert named.push_event_id == "e1"


def test_rules_of_vk_do_not_apply_to_events_of_other_networks() -> None:
    edited = IncomingItem(
        change="edited",
        kind="comment",
        external_id="1",
        thread_key="ok:1",
        written_at=NOW,
        raw={"post_type": "suggest"},
    )
    suggested = IncomingItem(
        change="new", kind="wall_post", external_id="2", thread_key="ok:2", written_at=NOW, raw=edited.raw
    )
    batch = ParsedBatch(items=[edited, suggested])
    vk, ok = catalogue.push_spec("vk"), catalogue.push_spec("ok")
    assert vk is not None
    assert ok is not None
    assert (list(vk.threads_to_reread(batch)), [one.thread_key for one in vk.thread_states(batch)]) == (
        ["ok:1"],
        ["ok:2"],
    )
    assert (list(ok.threads_to_reread(batch)), list(ok.thread_states(batch))) == ([], [])


def test_response_comes_before_the_network_stops_waiting() -> None:
    waits = {"vk": VkSettings().callback_timeout_seconds, "ok": OkSettings().webhook_timeout_seconds}
    pushes = {name: spec.push for name, spec in catalogue.NETWORKS.items() if spec.push is not None}
    assert pushes.keys() == waits.keys()
    for name, push in pushes.items():
        assert write_batcher.STORE_TIMEOUT < push.answer_seconds < waits[name], name


def test_unknown_network_has_no_push() -> None:
    assert catalogue.push_spec("telegraph") is None


class Registrations:
    """A store of one registration."""

    def __init__(self) -> None:
        self.kept = RegisteredCallback(page_id=PAGE.id, url="https://example.org", secret="s")
        self.saved: list[str | None] = []

    async def by_page(self, _network: str, _ids: Sequence[UUID] | None = None) -> dict[UUID, RegisteredCallback]:
        return {PAGE.id: self.kept}

    async def save(self, _network: str, callback: RegisteredCallback) -> None:
        self.saved.append(callback.confirmation_code)


def confirmation(registrations: Registrations) -> VkConfirmation:
    async def refresh() -> None:
        return None

    return VkConfirmation(
        PushServices(
            http=mock.Mock(),
            token_pool=mock.Mock(),
            refresh_tokens=refresh,
            registrations=registrations,  # type: ignore[arg-type]
            settings=mock.Mock(spec=IngestSettings),
        )
    )


def endpoint(code: str | None, *, manual: bool = False) -> PushEndpoint:
    return PushEndpoint(PAGE, "s", code, manual, NOW)


async def answers(answered: object, given: PushEndpoint, *, times: int = 1) -> tuple[list[str | None], list[Any]]:
    """Return the codes sent in response to `times` requests, and the codes that were saved."""
    registrations = Registrations()
    asked = mock.AsyncMock(
        side_effect=answered if isinstance(answered, Exception) else None, return_value=answered
    )
    with (
        mock.patch.object(callback_events, "fetch_confirmation_code", asked),
        mock.patch.object(callback_events, "VkClient"),
    ):
        responder = confirmation(registrations)
        return [await responder.code(given) for _ in range(times)], registrations.saved


async def test_new_code_of_the_network_is_sent_and_saved() -> None:
    assert await answers("new", endpoint("old")) == (["new"], ["new"])
    assert await answers("same", endpoint("same")) == (["same"], [])


async def test_stored_code_is_sent_if_the_current_one_cannot_be_fetched() -> None:
    failure = NoUsableToken("groups.getCallbackConfirmationCode")
    assert await answers(failure, endpoint("stored")) == (["stored"], [])
    assert await answers(failure, endpoint(None)) == ([None], [])


async def test_both_codes_of_a_manual_server_are_sent_in_turn() -> None:
    codes, saved = await answers("shown by the API", endpoint("typed by a person", manual=True), times=3)
    assert codes == ["shown by the API", "typed by a person", "shown by the API"]
    assert saved == []
