"""The address of the queue: which appeals, and from where on after some were left for later."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from urllib.parse import urlencode

from starlette.datastructures import QueryParams

PATH = "/queue"
_STEP = timedelta(microseconds=1)


@dataclass(frozen=True)
class QueueState:
    """`after`: the moment when the last appeal that was left for later was opened; the same for urgent ones."""

    reasons: tuple[str, ...] = ()
    after: str = ""
    urgent_after: str = ""

    @classmethod
    def of(cls, query: QueryParams) -> "QueueState":
        """Return the state that an address has."""
        return cls(tuple(query.getlist("triage_reason")), query.get("after", ""), query.get("urgent_after", ""))

    @property
    def query(self) -> str:
        """Return the state as a query."""
        pairs = [("triage_reason", reason) for reason in self.reasons]
        pairs += [(name, value) for name in ("after", "urgent_after") if (value := getattr(self, name))]
        return urlencode(pairs)

    def address(self, path: str = PATH, **more: str) -> str:
        """Return an address with this state."""
        query = "&".join(part for part in (self.query, urlencode(more)) if part)
        return f"{path}?{query}" if query else path

    @property
    def has_left_some(self) -> bool:
        """Return whether appeals were left for later."""
        return bool(self.after or self.urgent_after)

    def from_start(self) -> "QueueState":
        """Return the state that shows what was left for later again."""
        return replace(self, after="", urgent_after="")

    def without(self, opened_at: str, *, urgent: bool) -> "QueueState":
        """Return the state that leaves an appeal for later."""
        next_moment = (datetime.fromisoformat(opened_at) + _STEP).isoformat()
        return replace(self, urgent_after=next_moment) if urgent else replace(self, after=next_moment)
