"""Routing rules in words: conditions, target, and the display order."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.console.choices.topic_names import Topics, load_topics
from services.console.site.visit import Visit, together
from services.console.words.labels import label

CONDITIONS = (
    "topic_id",
    "municipality",
    "settlement",
    "page_owner_id",
    "urgency",
    "page_owner_sphere",
    "page_owner_kind",
)
FIELDS = (*CONDITIONS, "send_to", "organisation_id", "reason")
RULES_PER_PAGE = 100
# The fields of a rule in a request: an omitted condition matches everything.
RuleFields = dict[str, str]


@dataclass(frozen=True)
class RuleWords:
    """The names of the objects that rules refer to."""

    topics: Topics
    municipalities: Sequence[dict[str, Any]]
    organisations: dict[str, str]

    @property
    def municipality_options(self) -> list[tuple[str, str]]:
        """Return options for the municipalities."""
        return [("", "любое"), *((one["oktmo"], one["name"]) for one in self.municipalities)]

    def municipality(self, oktmo: str | None) -> str:
        """Return the name of a municipality; a dash for None."""
        if oktmo is None:
            return "—"
        return next((one["name"] for one in self.municipalities if one["oktmo"] == oktmo), oktmo)

    def organisation(self, organisation_id: str) -> str:
        """Return the name of an organisation."""
        return self.organisations.get(organisation_id, "организация")

    def location(self, rule: RuleFields) -> str:
        """Return the location in a rule's conditions as text; empty if it has none."""
        municipality = rule.get("municipality")
        parts = [self.municipality(municipality)] if municipality else []
        return ", ".join([*parts, *([rule["settlement"]] if rule.get("settlement") else [])])

    def page_owner(self, rule: RuleFields) -> str:
        """Return the conditions on the page's owner as text; empty if there are none."""
        parts = []
        if "page_owner_id" in rule:
            parts.append(self.organisation(rule["page_owner_id"]))
        if "page_owner_kind" in rule:
            parts.append(label(rule["page_owner_kind"], "organisation_kind"))
        if "page_owner_sphere" in rule:
            parts.append(label(rule["page_owner_sphere"], "page_owner_sphere"))
        return ", ".join(parts)

    def conditions(self, rule: RuleFields) -> str:
        """Return all conditions of a rule as one line."""
        parts = [self.topics.words(rule["topic_id"])] if "topic_id" in rule else []
        if location := self.location(rule):
            parts.append(location)
        if owner := self.page_owner(rule):
            parts.append(f"владелец страницы: {owner}")
        if "urgency" in rule:
            parts.append(label(rule["urgency"], "urgency"))
        return "; ".join(parts) or "без условий"

    def target(self, rule: Mapping[str, Any]) -> str:
        """Return the name of the target of a rule or of a default."""
        if rule.get("send_to") == "organisation" and rule.get("organisation_id"):
            return self.organisation(rule["organisation_id"])
        return label(rule.get("send_to"), "send_to")


def rule_fields(stored: Mapping[str, Any]) -> RuleFields:
    """Return a stored rule, or a default, as the fields of a request."""
    fields = {name: stored[name] for name in FIELDS if stored.get(name)}
    for name in ("page_owner", "organisation"):
        if stored.get(name):
            fields[f"{name}_id"] = stored[name]["id"]
    return fields


def named_in(rules: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return the names of the organisations that stored rules refer to, by id."""
    refs = [rule.get(name) for rule in rules for name in ("page_owner", "organisation")]
    return {ref["id"]: ref["name"] for ref in refs if ref}


async def load_words(visit: Visit, organisations: dict[str, str]) -> RuleWords:
    """Return the names for rules; `organisations` has the names of their organisations by id."""
    topics, municipalities = await together(load_topics(visit), visit.api.get("/municipalities", {"limit": 200}))
    return RuleWords(topics, municipalities["items"], organisations)


@dataclass(frozen=True)
class RuleRow:
    """A row of the table of rules."""

    id: str
    fields: RuleFields
    topic: str
    location: str
    page_owner: str
    target: str
    reason: str


def rule_rows(rules: Iterable[Mapping[str, Any]], words: RuleWords) -> list[RuleRow]:
    """Return the rules as rows, by topic in the order of topics, more specific rules first."""
    positions = words.topics.positions
    rows = []
    for rule in rules:
        fields = rule_fields(rule)
        topic = words.topics.name(fields["topic_id"]) if "topic_id" in fields else ""
        reason = fields.get("reason", "")
        shown = RuleRow(
            rule["id"],
            fields,
            topic,
            words.location(fields),
            words.page_owner(fields),
            words.target(fields),
            reason,
        )
        rows.append((_order(fields, positions), shown))
    return [row for _, row in sorted(rows, key=lambda pair: pair[0])]


def _order(fields: RuleFields, positions: Mapping[str, int]) -> tuple[Any, ...]:
    topic = fields.get("topic_id")
    vague = [name not in fields for name in ("settlement", "municipality", "page_owner_id", "page_owner_sphere")]
    return (
        topic is None,
        positions.get(topic or "", len(positions)),
        *vague,
        "page_owner_kind" not in fields,
        "urgency" not in fields,
        fields.get("municipality", ""),
    )


def sifted(rows: Sequence[RuleRow], *, topic: str, municipality: str, words: str) -> list[RuleRow]:
    """Return the rows that match the filter."""
    sought = words.casefold().split()
    return [
        row
        for row in rows
        if (not topic or row.fields.get("topic_id") == topic)
        and (not municipality or row.fields.get("municipality") == municipality)
        and all(
            word in f"{row.topic} {row.location} {row.page_owner} {row.target} {row.reason}".casefold()
            for word in sought
        )
    ]
