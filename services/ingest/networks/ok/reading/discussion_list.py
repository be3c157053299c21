"""The list of all groups' discussions: its top is polled frequently, the whole list periodically.

A full pass reads a few pages at a time, so that it does not delay reading the top of the list. Its rows are kept
in memory, where the scan of a single group finds its discussions.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from services.ingest.networks.calls import CallError, ErrorTreatment
from services.ingest.networks.ok import ok_payloads
from services.ingest.networks.ok.ok_payloads import DiscussionRow
from services.ingest.networks.ok.reading.discussion_reader import DiscussionReader
from services.ingest.settings import IngestSettings
from shared import clock

# Maximum pages per round: from the top of the list, and of the full pass.
TOP_PAGES = 20
PASS_PAGES = 10
MIN_PASS_INTERVAL = 60.0

# Receives rows and returns whether any of them is new or changed.
RowHandler = Callable[[list[DiscussionRow]], Awaitable[bool]]


class DiscussionList:
    """Reads the list and passes its rows to a handler."""

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
        """Request a full pass from the top; it starts now, or after the running one."""
        self._wanted = True

    def request_full_pass(self) -> None:
        """Request a full pass, which starts at least `MIN_PASS_INTERVAL` seconds after the end of the last one."""
        self._missed = True

    def covers(self, since: datetime) -> bool:
        """Return whether the rows in memory are fresh and go back to `since`."""
        if self._walked_at is None or self._walked_from is None or self._walked_from > since:
            return False
        return asyncio.get_running_loop().time() - self._walked_at <= 2 * self._settings.ok_full_pass_seconds

    def of_group(self, group: str, since: datetime) -> list[DiscussionRow]:
        """Return the rows in memory of those discussions of a group that changed since this time."""
        here = self._shown.get(group, {}).values()
        return [one for one in here if one.active_at is None or one.active_at >= since]

    async def read_top(self, handle_rows: RowHandler) -> None:
        """Read the list from the top until a page has nothing new, passing its rows to `handle_rows`."""
        anchor: str | None = None
        horizon = self._days_ago()
        for _ in range(TOP_PAGES):
            rows, anchor = await self.page(anchor)
            if not await handle_rows(rows) or anchor is None or _reached(rows, horizon):
                return
        self._wanted = True  # there may be more new rows than this round has read

    async def continue_full_pass(self, handle_rows: RowHandler) -> None:
        """Read the next pages of the full pass, if one is due."""
        now = asyncio.get_running_loop().time()
        if not self._walking:
            due = self._walked_at is None or now - self._walked_at >= self._settings.ok_full_pass_seconds
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
                    self._walking, self._wanted = False, True  # the anchor is no longer valid
                raise
            await handle_rows(rows)
            self._anchor = after
            if after is None or _reached(rows, self._horizon):
                self._walked(now)
                return

    @property
    def in_full_pass(self) -> bool:
        """Return whether a full pass is running."""
        return self._walking

    def _days_ago(self) -> datetime:
        return clock.now() - timedelta(days=self._settings.ok_full_pass_days)

    def _walked(self, at: float) -> None:
        self._walking = False
        self._walked_at, self._walked_from = at, self._horizon
        for group, here in list(self._shown.items()):
            recent = {k: v for k, v in here.items() if v.active_at is None or v.active_at >= self._horizon}
            self._shown[group] = recent

    async def page(self, anchor: str | None) -> tuple[list[DiscussionRow], str | None]:
        """Return a page of the list and the next anchor; keep its rows in memory."""
        raw_rows, after = await self._reader.discussions(self._asked, anchor)
        rows = [
            shown for raw in raw_rows if (shown := ok_payloads.parse_discussion_row(raw, self.types)) is not None
        ]
        for one in rows:
            self._shown.setdefault(one.group_id, {})[one.key] = one
        return rows, after


def _reached(rows: list[DiscussionRow], horizon: datetime) -> bool:
    """Return whether these rows, most recent first, reach back past the horizon."""
    return any(one.active_at is not None and one.active_at < horizon for one in rows)
