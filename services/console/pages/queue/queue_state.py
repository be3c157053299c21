"""The state of the queue in its address: the chosen triage reasons, and where to continue after skipping."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from urllib.parse import urlencode

from starlette.datastructures import QueryParams

PATH = "/queue"
_STEP = timedelta(microseconds=1)


@dataclass(frozen=True)
class QueueState:
    """The position of the moderator in the queue, and the filter by triage reasons.

    `after` is just past the opening moment of the last skipped appeal; `urgent_after` is the same for urgent
    appeals.
    """

    reasons: tuple[str, ...] = ()
    after: str = ""
    urgent_after: str = ""

    @classmethod
    def of(cls, query: QueryParams) -> "QueueState":
        """Return the state that the parameters of an address describe."""
        return cls(tuple(query.getlist("triage_reason")), query.get("after", ""), query.get("urgent_after", ""))

    @property
    def query(self) -> str:
        """Return the state as a query string."""
        pairs = [("triage_reason", reason) for reason in self.reasons]
        pairs += [(name, value) for name in ("after", "urgent_after") if (value := getattr(self, name))]
        return urlencode(pairs)

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
        return replace(self, after="", urgent_after="")

    def without(self, opened_at: str, *, urgent: bool) -> "QueueState":
        """Return the state that skips an appeal."""
        next_moment = (datetime.fromisoformat(opened_at) + _STEP).isoformat()
        return replace(self, urgent_after=next_moment) if urgent else replace(self, after=next_moment)
