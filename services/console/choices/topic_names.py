"""Topic groups and topics, found by name or id."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from services.console.site.visit import Visit, together

_PAGE = 200


@dataclass(frozen=True)
class Topics:
    """All topic groups, each followed by its topics."""

    rows: Sequence[dict[str, Any]]

    @property
    def positions(self) -> dict[str, int]:
        """Return the index of each topic and group in the list, by id."""
        return {one["id"]: number for number, one in enumerate(self.rows)}

    def name(self, topic_id: str) -> str:
        """Return the name of a topic or group."""
        return next((one["name"] for one in self.rows if one["id"] == topic_id), "вне перечня")

    def found(self, text: str) -> list[dict[str, Any]]:
        """Return the topics and groups whose names contain all words of the text, in any letter case."""
        sought = text.casefold().split()
        return [one for one in self.rows if all(word in one["name"].casefold() for word in sought)]

    def words(self, topic_id: str) -> str:
        """Return «тема «…»» or «группа тем «…»»."""
        is_group = any(one["id"] == topic_id and one["level"] == "group" for one in self.rows)
        return f"{'группа тем' if is_group else 'тема'} «{self.name(topic_id)}»"


async def load_topics(visit: Visit) -> Topics:
    """Return all topic groups and topics of the taxonomy."""
    groups, topics = await together(_listed(visit, "group"), _listed(visit, "topic"))
    rows = []
    for group in groups:
        rows += [group, *(one for one in topics if one["group"] and one["group"]["id"] == group["id"])]
    return Topics(rows)


async def _listed(visit: Visit, level: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor = None
    while True:
        listed = await visit.api.get("/topics", {"level": level, "limit": _PAGE, "cursor": cursor})
        found += listed["items"]
        cursor = listed["next_cursor"]
        if cursor is None:
            return found
