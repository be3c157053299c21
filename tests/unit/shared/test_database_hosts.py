"""Connections to the first of several hosts that accepts one."""

from unittest import mock

import asyncpg
import pytest

from shared.database.sessions import connect


async def test_silent_host_does_not_reduce_the_timeout_of_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    accepted = mock.Mock()
    asked: list[tuple[str, float]] = []

    async def answer(url: str, *, timeout: float) -> mock.Mock:  # noqa: ASYNC109 — the driver's own parameter
        asked.append((url, timeout))
        if "silent" in url:
            raise TimeoutError
        return accepted

    monkeypatch.setattr(asyncpg, "connect", answer)
    assert await connect("postgresql://owner:x@silent:1,ready:2/gospablik", timeout_seconds=3) is accepted
    assert asked == [
        ("postgresql://owner:x@silent:1/gospablik", 3),
        ("postgresql://owner:x@ready:2/gospablik", 3),
    ]
