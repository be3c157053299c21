"""The data of a rule set that all its tabs show."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from services.console.api_calls.client import Answer
from services.console.pages.rules.rule_words import (
    RULES_PER_PAGE,
    RuleRow,
    RuleWords,
    load_words,
    named_in,
    rule_rows,
    sifted,
)
from services.console.site.addresses import with_query
from services.console.site.visit import Visit, together


@dataclass(frozen=True)
class RuleSetState:
    """A rule set with its API response, the active set, and the names that both refer to."""

    answer: Answer
    active: dict[str, Any]
    words: RuleWords

    @property
    def rule_set(self) -> dict[str, Any]:
        """Return the set with its rules."""
        found: dict[str, Any] = self.answer.data
        return found

    @property
    def is_active(self) -> bool:
        """Return whether this set routes appeals now."""
        return bool(self.rule_set["id"] == self.active["id"])

    def shown(self) -> dict[str, Any]:
        """Return the values for the templates."""
        return {
            "rule_set": self.rule_set,
            "active": self.active,
            "is_active": self.is_active,
            "words": self.words,
            "default_target": self.words.target(default_fields(self.rule_set)),
        }


def default_fields(rule_set: dict[str, Any]) -> dict[str, Any]:
    """Return the default target of a set as the fields of a request."""
    default = rule_set["default"]
    organisation = default["organisation"]
    return {"send_to": default["send_to"], "organisation_id": organisation["id"] if organisation else None}


async def load_state(visit: Visit, rule_set_id: UUID) -> RuleSetState:
    """Return the state of a rule set. Raises `ApiProblem` with status 404 if there is no such set."""
    answer, listed = await together(
        visit.api.send("GET", f"/rule-sets/{rule_set_id}"),
        visit.api.get("/rule-sets", {"status": "active", "limit": 1}),
    )
    active = listed["items"][0]
    named = named_in([*answer.data["rules"], answer.data["default"], active["default"]])
    return RuleSetState(answer, active, await load_words(visit, named))


@dataclass(frozen=True)
class RuleTable:
    """One page of the table of rules, and its filter."""

    rows: list[RuleRow]
    found: int
    before: str | None
    after: str | None
    topic: str
    municipality: str
    sought: str
    topic_options: list[tuple[str, str]]


def rule_table(visit: Visit, state: RuleSetState, without: tuple[str, ...] = ()) -> RuleTable:
    """Return the page of rules that match the filter of the address; rules in `without` are left out."""
    query = visit.request.query_params
    topic, municipality, sought = (query.get(name, "") for name in ("topic", "municipality", "q"))
    rules = [rule for rule in state.rule_set["rules"] if rule["id"] not in without]
    rows = sifted(rule_rows(rules, state.words), topic=topic, municipality=municipality, words=sought)
    asked = query.get("page", "1")
    last = max(1, -(-len(rows) // RULES_PER_PAGE))
    page = min(max(int(asked), 1), last) if asked.isdecimal() and len(asked) < 5 else 1
    return RuleTable(
        rows[(page - 1) * RULES_PER_PAGE : page * RULES_PER_PAGE],
        len(rows),
        with_query(visit, page=str(page - 1)) if page > 1 else None,
        with_query(visit, page=str(page + 1)) if page < last else None,
        topic,
        municipality,
        sought,
        _topics_of(rules, state.words),
    )


def _topics_of(rules: list[dict[str, Any]], words: RuleWords) -> list[tuple[str, str]]:
    """Return options for the topics that the rules refer to."""
    named = {rule["topic_id"] for rule in rules}
    return [("", "любая"), *((one["id"], one["name"]) for one in words.topics.rows if one["id"] in named)]
