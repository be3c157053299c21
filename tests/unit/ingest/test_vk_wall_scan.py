"""The scan of a VK wall whose `count` is larger than what the network shows."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from services.ingest.networks.port import PageRef
from services.ingest.networks.vk.reading.vk_scan import VkPageScan
from services.ingest.networks.vk.reading.wall_reader import WallReader
from services.ingest.settings import IngestSettings
from shared import clock
from tests.unit.ingest.settings_keys import KEYS

PAGE = PageRef(
    id=UUID(int=1),
    organisation_id=UUID(int=2),
    network="vk",
    external_id="101",
    go_live_at=datetime(2026, 1, 1, tzinfo=UTC),
)


class FakeVk:
    """A wall that shows `shown` posts and counts `count`; at most `page_size` in a response."""

    def __init__(self, shown: int, count: int, page_size: int) -> None:
        self.calls = 0
        self._posts = [
            {"id": number, "from_id": 5, "date": int(clock.now().timestamp()), "text": f"Запись {number}"}
            for number in range(shown, 0, -1)
        ]
        self._count = count
        self._page_size = page_size

    async def read_with_any_token(self, method: str, *_kinds: Any, **params: Any) -> Any:
        """Return a page of the wall."""
        assert method == "wall.get"
        self.calls += 1
        start = params["offset"]
        return {"count": self._count, "items": self._posts[start : start + self._page_size]}


class FakeIntake:
    """A store without messages."""

    async def threads_with_other_count(self, *_: Any, **__: Any) -> dict[str, int]:
        """Return no threads."""
        return {}

    async def thread_states(self, *_: Any, **__: Any) -> dict[str, Any]:
        """Return no states."""
        return {}

    async def undeleted_ids(self, *_: Any, **__: Any) -> dict[str, datetime]:
        """Return no stored posts."""
        return {}


@pytest.mark.parametrize(
    ("shown", "count", "page_size", "calls"),
    [(37, 40, 100, 3), (99, 100, 100, 3), (294, 300, 100, 5), (250, 250, 100, 3), (8, 8, 3, 3), (0, 0, 100, 1)],
)
async def test_end_of_a_wall_costs_few_calls_although_posts_are_hidden(
    shown: int, count: int, page_size: int, calls: int
) -> None:
    vk: Any = FakeVk(shown, count, page_size)
    intake: Any = FakeIntake()
    none: Any = None
    scan = VkPageScan(
        PAGE,
        clock.now() - timedelta(days=1),
        reader=WallReader(vk),
        boards=none,
        suggested_posts=none,
        dialogs=none,
        intake=intake,
        settings=IngestSettings(**KEYS),
    )
    found = {item.external_id async for step in scan._wall({}) for item in step.batch.items}
    assert len(found) == shown
    assert vk.calls == calls
