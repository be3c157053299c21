"""The one list of all groups' discussions: looked at on top every moment, walked down now and then.

The walk goes on a few pages at a time from where it stopped, so that neither a failure nor its length holds up
what is fresh. What it saw is remembered: the walk over a single group finds its discussions here.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from services.ingest.networks.calls import CallError, ErrorTreatment
from services.ingest.networks.ok import ok_payloads
from services.ingest.networks.ok.discussion_reader import DiscussionReader
from services.ingest.networks.ok.ok_payloads import DiscussionRow
from services.ingest.settings import IngestSettings
from shared import clock

# Pages of the list in one look: on top until one brings nothing new, and of the walk.
TOP_PAGES = 20
PASS_PAGES = 10
MIN_PASS_INTERVAL = 60.0

# Takes rows and says whether anything in them is news.
RowHandler = Callable[[list[DiscussionRow]], Awaitable[bool]]


class DiscussionList:
    """Reads the list and shows its rows to whoever compares them with what is stored."""

    def __init__(self, reader: DiscussionReader, settings: IngestSettings) -> None:
        self._reader = reader
        self._settings = settings
        self.types = frozenset(one.strip() for one in settings.ok_discussion_types.split(",") if one.strip())
        self._asked = ",".join(sorted(self.types))
        self._shown: dict[str, dict[str, DiscussionRow]] = {}
        self._walked_at: float | None = None
        self._walked_from: datetime | None = None
        self._wanted = True
        self._missed = False
        self._anchor: str | None = None
        self._walking = False
        self._horizon = clock.now()

    def start_full_pass(self) -> None:
        """Have the list walked down from its top without waiting for the next time."""
        self._wanted = True

    def request_full_pass(self) -> None:
        """The same, but no oftener than every `SOON_SECONDS`, whoever asks."""
        self._missed = True

    def covers(self, since: datetime) -> bool:
        """Whether what is remembered is fresh and goes back to that moment."""
        if self._walked_at is None or self._walked_from is None or self._walked_from > since:
            return False
        return asyncio.get_running_loop().time() - self._walked_at <= 2 * self._settings.ok_walk_seconds

    def of_group(self, group: str, since: datetime) -> list[DiscussionRow]:
        """Discussions of a group that moved since a moment, as far as they are remembered."""
        here = self._shown.get(group, {}).values()
        return [one for one in here if one.active_at is None or one.active_at >= since]

    async def read_top(self, notice: RowHandler) -> None:
        """Show what is on top of the list, down to the first page of it without news."""
        anchor: str | None = None
        horizon = self._days_ago()
        for _ in range(TOP_PAGES):
            rows, anchor = await self.page(anchor)
            if not await notice(rows) or anchor is None or _reached(rows, horizon):
                return
        self._wanted = True  # more is new than one look takes

    async def continue_full_pass(self, notice: RowHandler) -> None:
        """Show the next pages of the walk; none while no walk is due."""
        now = asyncio.get_running_loop().time()
        if not self._walking:
            due = self._walked_at is None or now - self._walked_at >= self._settings.ok_walk_seconds
            soon = self._missed and (self._walked_at is None or now - self._walked_at >= MIN_PASS_INTERVAL)
            if not due and not soon and not self._wanted:
                return
            self._walking, self._anchor = True, None
            self._wanted = self._missed = False
            self._horizon = self._days_ago()
        for _ in range(PASS_PAGES):
            try:
                rows, after = await self.page(self._anchor)
            except CallError as error:
                if error.treatment is ErrorTreatment.CLIENT_ERROR:
                    self._walking, self._wanted = False, True  # the place in the list is not known any more
                raise
            await notice(rows)
            self._anchor = after
            if after is None or _reached(rows, self._horizon):
                self._walked(now)
                return

    @property
    def in_full_pass(self) -> bool:
        """Whether a walk is under way."""
        return self._walking

    def _days_ago(self) -> datetime:
        return clock.now() - timedelta(days=self._settings.ok_walk_days)

    def _walked(self, at: float) -> None:
        self._walking = False
        self._walked_at, self._walked_from = at, self._horizon
        for group, here in list(self._shown.items()):
            recent = {k: v for k, v in here.items() if v.active_at is None or v.active_at >= self._horizon}
            self._shown[group] = recent

    async def page(self, anchor: str | None) -> tuple[list[DiscussionRow], str | None]:
        """A page of the list, and what leads on; its rows are remembered."""
        raw_rows, after = await self._reader.discussions(self._asked, anchor)
        rows = [
            shown for raw in raw_rows if (shown := ok_payloads.parse_discussion_row(raw, self.types)) is not None
        ]
        for one in rows:
            self._shown.setdefault(one.group_id, {})[one.key] = one
        return rows, after


def _reached(rows: list[DiscussionRow], horizon: datetime) -> bool:
    """Whether what follows these rows is older than that."""
    return any(one.active_at is not None and one.active_at < horizon for one in rows)
