"""The state of the queue in its address: the chosen triage reasons, and where to continue after skipping."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from starlette.datastructures import QueryParams

PATH = "/queue"
_LONGEST_PAGE = 200
_STEP = timedelta(microseconds=1)


@dataclass(frozen=True)
class QueueState:
    """The position of the moderator in the queue, and the filter by triage reasons.

    `after` is the opening moment of the last skipped appeal, and `skipped` has the ids of all skipped appeals of
    this moment: messages that are stored together open their appeals at the same moment. If `skipped` would fill a
    page of the list, the state continues after this moment. `urgent_after` and `urgent_skipped` are the same for
    urgent appeals.
    """

    reasons: tuple[str, ...] = ()
    after: str = ""
    urgent_after: str = ""
    skipped: tuple[str, ...] = ()
    urgent_skipped: tuple[str, ...] = ()

    @classmethod
    def of(cls, query: QueryParams) -> "QueueState":
        """Return the state that the parameters of an address describe."""
        return cls(
            tuple(query.getlist("triage_reason")),
            query.get("after", ""),
            query.get("urgent_after", ""),
            tuple(query.getlist("skipped")),
            tuple(query.getlist("urgent_skipped")),
        )

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Return the state as the parameters of an address."""
        pairs = [("triage_reason", reason) for reason in self.reasons]
        pairs += [(name, value) for name in ("after", "urgent_after") if (value := getattr(self, name))]
        pairs += [(name, one) for name in ("skipped", "urgent_skipped") for one in getattr(self, name)]
        return pairs

    @property
    def query(self) -> str:
        """Return the state as a query string."""
        return urlencode(self.pairs)

    def address(self, path: str = PATH, **more: str) -> str:
        """Return an address with this state."""
        query = "&".join(part for part in (self.query, urlencode(more)) if part)
        return f"{path}?{query}" if query else path

    @property
    def has_left_some(self) -> bool:
        """Return whether appeals were skipped."""
        return bool(self.after or self.urgent_after)

    def from_start(self) -> "QueueState":
        """Return the state that shows skipped appeals again."""
        return QueueState(self.reasons)

    def without(self, appeal: Mapping[str, Any], *, urgent: bool) -> "QueueState":
        """Return the state that skips an appeal."""
        after, skipped = (self.urgent_after, self.urgent_skipped) if urgent else (self.after, self.skipped)
        opened_at = appeal["opened_at"]
        skipped = (*(skipped if opened_at == after else ()), appeal["id"])
        if len(skipped) >= _LONGEST_PAGE:
            opened_at, skipped = (datetime.fromisoformat(opened_at) + _STEP).isoformat(), ()
        if urgent:
            return replace(self, urgent_after=opened_at, urgent_skipped=skipped)
        return replace(self, after=opened_at, skipped=skipped)

    def parameters(self, count: int, *, urgent: bool = False) -> dict[str, Any]:
        """Return the parameters of a list that has the next `count` appeals, and those in `skipped`."""
        after, skipped = (self.urgent_after, self.urgent_skipped) if urgent else (self.after, self.skipped)
        limit = min(count + len(skipped), _LONGEST_PAGE)
        return {"sort": "opened_at", "opened_from": after, "limit": limit}

    def unskipped(self, items: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the appeals of a list that were not skipped."""
        skipped = {*self.skipped, *self.urgent_skipped}
        return [item for item in items if item["id"] not in skipped]
