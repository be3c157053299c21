"""Scans of a page whose tokens exist but are not usable now: nothing may be left out as if there were no token."""

from datetime import timedelta
from typing import Any

import pytest

from services.ingest.intake.store import DatabaseIntakeStore
from services.ingest.networks.calls import NoUsableToken
from services.ingest.networks.ok.ok_network import OkNetwork
from services.ingest.networks.port import NetworkAdapter, PageRef, TokenKind, TokenState
from services.ingest.networks.vk.vk_network import VkNetwork
from services.ingest.settings import IngestSettings
from shared import clock
from tests.integration.ingest.network_double import error
from tests.integration.ingest.test_tokens import FAST, Pool, pool

__all__ = ["pool"]  # re-exported so that pytest finds the fixture here


def _page(pool: Pool, network: str) -> PageRef:
    return PageRef(
        id=pool.page_id,
        organisation_id=pool.organisation_id,
        network=network,
        external_id="101",
        go_live_at=clock.now(),
    )


def _network(pool: Pool, name: str) -> NetworkAdapter:
    settings = IngestSettings(vk_api_url=pool.network.url, ok_api_url=pool.network.url, **FAST)
    store = DatabaseIntakeStore(pool.ingest.service.database)
    made = VkNetwork if name == "vk" else OkNetwork
    return made(pool.vk._http, pool.accounts, store, settings)


async def _scan(network: NetworkAdapter, page: PageRef, step: str) -> list[float]:
    """Run the scan from this step on; return the progress of its steps."""
    since = clock.now() - timedelta(days=1)
    return [walked.progress async for walked in network.scan(page, since, {"step": step})]


async def _pause(pool: Pool, network: str, kind: TokenKind, method: str) -> None:
    (token,) = pool.accounts.tokens(network, kind, pool.page_id)
    await pool.accounts.record_failure(token, TokenState.LIMITED, "rate limit", pause_seconds=600, method=method)


@pytest.mark.parametrize(
    ("step", "kind", "method"),
    [
        ("boards", TokenKind.SERVICE, "board.getTopics"),
        ("suggests", TokenKind.USER, "wall.get"),
        ("dialogs", TokenKind.GROUP, "messages.getConversations"),
    ],
)
async def test_vk_scan_waits_for_a_paused_token_instead_of_leaving_messages_unread(
    pool: Pool, step: str, kind: TokenKind, method: str
) -> None:
    network, page = _network(pool, "vk"), _page(pool, "vk")
    assert await _scan(network, page, step) == [1.0]  # there is no token, so there is nothing to wait for
    await pool.add("one", kind)
    await _pause(pool, "vk", kind, method)
    with pytest.raises(NoUsableToken):
        await _scan(network, page, step)
    assert pool.network.calls == []


async def test_vk_scan_waits_for_the_replacement_of_a_revoked_token(pool: Pool) -> None:
    await pool.add("one", TokenKind.GROUP)
    pool.network.answer = lambda *_: error(5)
    network, page = _network(pool, "vk"), _page(pool, "vk")
    for _ in range(2):
        with pytest.raises(NoUsableToken):
            await _scan(network, page, "dialogs")


async def test_vk_scan_does_not_wait_for_a_token_without_the_scope_for_messages(pool: Pool) -> None:
    await pool.add("one", TokenKind.GROUP)
    network, page = _network(pool, "vk"), _page(pool, "vk")
    answers: dict[str, Any] = {"messages.getConversations": error(15, error_subcode=1133)}
    pool.network.answer = lambda method, _: answers.get(method, {"response": {"items": []}})
    with pytest.raises(NoUsableToken):
        await _scan(network, page, "dialogs")
    assert await _scan(network, page, "dialogs") == [1.0]
    # The scope was granted, and a person lets the token be used again: the conversations are read.
    answers.clear()
    await pool.raw_connection.execute("UPDATE network_tokens SET limited_methods = '{}', updated_at = now()")
    await pool.accounts.refresh()
    calls = len(pool.network.calls)
    assert (await _scan(network, page, "dialogs"))[-1] == 1.0
    assert len(pool.network.calls) == calls + 1


async def test_ok_scan_waits_for_a_paused_token_instead_of_leaving_messages_unread(pool: Pool) -> None:
    network, page = _network(pool, "ok"), _page(pool, "ok")
    assert await _scan(network, page, "chats") == [1.0]
    await pool.raw_connection.execute("UPDATE pages SET network = 'ok' WHERE id = $1", pool.page_id)
    await pool.add("one", TokenKind.GROUP, "ok")
    await _pause(pool, "ok", TokenKind.GROUP, "graph.chats.get")
    with pytest.raises(NoUsableToken):
        await _scan(network, page, "chats")
    assert pool.network.calls == []
