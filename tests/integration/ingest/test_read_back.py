"""Adapters read a reply's thread completely or raise an error, and send nothing after the deadline."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from functools import partial
from typing import Any, cast
from unittest import mock
from uuid import uuid4

import aiohttp
import pytest

from services.ingest.networks.calls import ErrorTreatment, send_deadline_tracing
from services.ingest.networks.ok import ok_errors
from services.ingest.networks.ok.ok_network import OkNetwork
from services.ingest.networks.port import (
    Credential,
    IntakeStore,
    NetworkAdapter,
    OutgoingReply,
    PageRef,
    PublishRejected,
    ReadFailed,
    ReplyToChange,
    TokenKind,
    TokenPool,
)
from services.ingest.networks.vk import vk_errors
from services.ingest.networks.vk.vk_network import VkNetwork
from services.ingest.settings import IngestSettings
from tests.integration.ingest.conftest import KEYS
from tests.integration.ingest.network_double import NetworkDouble, error, network_double

THREADS: dict[str, dict[str, Any]] = {
    "vk comment": {"kind": "comment", "thread_key": "vk:-101_3", "reply_to": "-101_7"},
    "vk discussion": {"kind": "comment", "thread_key": "vk:-101_board3", "reply_to": "-101_board3_7"},
    "vk message": {"kind": "message", "thread_key": "vk:101_5001", "reply_to": None},
    "ok comment": {"kind": "comment", "thread_key": "ok:60000000000001", "reply_to": "60000000000001/MTc="},
    "ok message": {"kind": "message", "thread_key": "ok:chat:C1", "reply_to": None},
}
# Transient network errors are retried before a read fails.
MOMENTARY = {ErrorTreatment.TRANSIENT, ErrorTreatment.RATE_LIMITED}
CODES = {
    "vk": sorted({code for code, kind in vk_errors.TREATMENTS.items() if kind not in MOMENTARY} | {77_777}),
    "ok": sorted({code for code, kind in ok_errors.TREATMENTS.items() if kind not in MOMENTARY} | {77_777}),
}
OF_US = {
    ErrorTreatment.DENIED,
    ErrorTreatment.NOT_FOUND,
    ErrorTreatment.CONTENT_REJECTED,
    ErrorTreatment.CLIENT_ERROR,
}


class Tokens:
    """One token of each kind, which stays valid despite errors of the network."""

    def select(
        self, network: str, kind: TokenKind, page_id: Any = None, *, method: str | None = None
    ) -> Credential:
        """Return the token of this kind."""
        return Credential(id=uuid4(), network=network, kind=kind, page_id=page_id, token=f"{kind}-token")

    async def wait_for_turn(self, *_: object) -> None:
        """Let every call pass without a pause."""

    async def begin_call(self, *_: object) -> dict[str, str]:
        """Allow every call."""
        return {}

    async def record_success(self, *_: object) -> None:
        """Do nothing."""

    async def record_failure(self, *_: object, **__: object) -> None:
        """Do nothing: the token stays usable."""


@pytest.fixture
async def double() -> AsyncIterator[NetworkDouble]:
    """A network that responds as the test defines."""
    async with network_double() as made:
        yield made


@pytest.fixture
async def networks(double: NetworkDouble) -> AsyncIterator[dict[str, NetworkAdapter]]:
    """Both adapters, connected to the network double."""
    keys: dict[str, Any] = {name.lower(): value for name, value in KEYS.items()}
    settings = IngestSettings(vk_api_url=double.url, ok_api_url=double.url, **keys)
    accounts, feed = cast("TokenPool", Tokens()), cast("IntakeStore", mock.Mock())
    async with aiohttp.ClientSession(trace_configs=[send_deadline_tracing()]) as http:
        yield {"vk": VkNetwork(http, accounts, feed, settings), "ok": OkNetwork(http, accounts, feed, settings)}


def outgoing(thread: str, **more: Any) -> OutgoingReply:
    """Return a reply to one of the threads."""
    page = PageRef(
        id=uuid4(),
        organisation_id=uuid4(),
        network=thread[:2],
        external_id="101",
        go_live_at=datetime(2020, 1, 1, tzinfo=UTC),
    )
    return OutgoingReply(id=uuid4(), page=page, text="Ответ", **THREADS[thread], **more)


def _answer(answer: Any, _method: str, _params: dict[str, str]) -> Any:
    return answer


@pytest.mark.parametrize("thread", THREADS)
async def test_rejected_thread_read_raises_instead_of_returning_nothing(
    double: NetworkDouble, networks: dict[str, NetworkAdapter], thread: str
) -> None:
    network = thread[:2]
    treatment = vk_errors.treatment if network == "vk" else ok_errors.treatment
    for code in CODES[network]:
        refusal: Any = error(code) if network == "vk" else {"error_code": code, "error_msg": "refused"}
        double.answer = partial(_answer, refusal)
        with pytest.raises(ReadFailed) as found:
            await networks[network].read_thread(outgoing(thread))
        # Error 7 concerns the page's own token: another token may read.
        assert code == 7 or found.value.permanent is (treatment(code) in OF_US), code


async def test_unsupported_thread_type_raises_instead_of_returning_nothing(
    networks: dict[str, NetworkAdapter],
) -> None:
    photo = {**THREADS["vk discussion"], "thread_key": "vk:-101_photo3"}
    with mock.patch.dict(THREADS, {"vk photo": photo}), pytest.raises(ReadFailed):
        await networks["vk"].read_thread(outgoing("vk photo"))


def _comment(number: int, ms: int) -> dict[str, Any]:
    group = {"author_type": "GROUP", "author_ref": "group:101"}
    return {"id": f"c{number}", "text": f"Слова {number}", "date_ms": ms, "type": "ACTIVE_MESSAGE", **group}


@pytest.mark.parametrize("page", [{"comments": [_comment(1, 5_000)]}, {"comments": [], "anchor": "next"}])
async def test_discussion_without_its_next_page_is_incomplete(
    double: NetworkDouble, networks: dict[str, NetworkAdapter], page: dict[str, Any]
) -> None:
    double.answer = lambda _method, _params: page | {"has_more": True}
    with pytest.raises(ReadFailed):
        await networks["ok"].read_thread(outgoing("ok comment", baseline_position=4_000))
    double.answer = lambda _method, _params: {"comments": [_comment(1, 5_000)], "has_more": False}
    assert len((await networks["ok"].read_thread(outgoing("ok comment", baseline_position=4_000))).items) == 1


async def test_discussion_is_read_back_by_network_time(
    double: NetworkDouble, networks: dict[str, NetworkAdapter]
) -> None:
    """The network's clock is years behind ours; each page of the discussion has one comment, newest first."""
    pages = {
        "LAST": ([_comment(3, 3_000)], "a"),
        "a": ([_comment(2, 2_000)], "b"),
        "b": ([_comment(1, 1_000)], "c"),
        "c": ([_comment(0, 0)], "d"),
    }

    def answer(_method: str, params: dict[str, str]) -> dict[str, Any]:
        rows, anchor = pages[params["anchor"]]
        return {"comments": rows, "has_more": True, "anchor": anchor}

    double.answer = answer
    found = await networks["ok"].read_thread(outgoing("ok comment", baseline_position=1_500))
    assert [item.external_id.partition("/")[2] for item in found.items] == ["c3", "c2", "c1"]


async def test_conversation_is_read_back_to_baseline(
    double: NetworkDouble, networks: dict[str, NetworkAdapter]
) -> None:
    """More messages were written meanwhile than one response of the network contains."""

    def answer(_method: str, params: dict[str, str]) -> dict[str, Any]:
        newest = 1_000 - int(params["offset"])
        common = {"peer_id": 5001, "from_id": -101, "date": 1, "out": 1, "text": "Слова"}
        rows = [{"id": 5_000 + n, "conversation_message_id": n, **common} for n in range(newest, newest - 200, -1)]
        return {"response": {"count": 1_000, "items": rows}}

    double.answer = answer
    found = await networks["vk"].read_thread(outgoing("vk message", baseline_position=550))
    numbers = [int(item.external_id.rpartition("_")[2]) for item in found.items]
    assert (max(numbers), min(numbers)) == (1_000, 401)


@pytest.mark.parametrize("thread", THREADS)
@pytest.mark.parametrize("moments", [[10.0], [0.0, 10.0]])
async def test_nothing_is_sent_after_deadline(
    double: NetworkDouble, networks: dict[str, NetworkAdapter], thread: str, moments: list[float]
) -> None:
    """The deadline passes before the call, or during the connection setup."""
    with (
        mock.patch("services.ingest.networks.calls.boottime_seconds", side_effect=moments),
        pytest.raises(PublishRejected) as refusal,
    ):
        await networks[thread[:2]].publish(outgoing(thread, send_deadline=5.0))
    assert (refusal.value.was_sent, refusal.value.permanent) == (False, False)
    assert double.calls == []


@pytest.mark.parametrize("text", ["Иначе", None])
@pytest.mark.parametrize("thread", ["vk comment", "vk discussion", "vk message", "ok comment"])
async def test_no_reply_is_changed_after_deadline(
    double: NetworkDouble, networks: dict[str, NetworkAdapter], thread: str, text: str | None
) -> None:
    published = outgoing(thread)
    reply = ReplyToChange(
        page=published.page,
        kind=published.kind,
        thread_key=published.thread_key,
        external_id=published.reply_to or "101_5001_9",
        send_deadline=5.0,
    )
    network = networks[thread[:2]]
    with (
        mock.patch("services.ingest.networks.calls.boottime_seconds", return_value=10.0),
        pytest.raises(PublishRejected) as refusal,
    ):
        await (network.delete_reply(reply) if text is None else network.edit_reply(reply, text))
    assert (refusal.value.was_sent, refusal.value.permanent) == (False, False)
    assert double.calls == []


async def test_old_unparsed_payload_does_not_block_read(
    double: NetworkDouble, networks: dict[str, NetworkAdapter]
) -> None:
    broken = [{"id": 5}, {"id": 40, "from_id": 700}, {"id": 41, "from_id": -101}]
    double.answer = lambda _method, _params: {"response": {"items": broken, "current_level_count": 3}}
    found = await networks["vk"].read_thread(outgoing("vk comment", baseline_position=7))
    assert [one.raw["id"] for one in found.unparsed] == [41]
