"""Changes of a rule set that are not stored yet: the editor keeps them in its address."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from starlette.datastructures import QueryParams

from services.console.pages.rules.rule_words import FIELDS, RuleFields
from services.console.site.forms import is_id

# Keeps the address below the length that servers accept.
MAX_CHANGES = 30


@dataclass(frozen=True)
class PendingChanges:
    """The changes: ids of removed rules, added rules, and a new default."""

    without: tuple[str, ...] = ()
    added: tuple[RuleFields, ...] = ()
    default: RuleFields | None = None

    @property
    def is_full(self) -> bool:
        """Return whether no more changes fit into the address."""
        return len(self.without) + len(self.added) >= MAX_CHANGES

    def __bool__(self) -> bool:
        return bool(self.without or self.added or self.default)

    def pairs(self) -> list[tuple[str, str]]:
        """Return the changes as parameters of an address."""
        found = [("without", rule_id) for rule_id in self.without]
        found += [("rule", json.dumps(rule, ensure_ascii=False, separators=(",", ":"))) for rule in self.added]
        return found + ([("default", json.dumps(self.default))] if self.default else [])

    def address(self, path: str, *more: tuple[str, str]) -> str:
        """Return the address of a path with these changes."""
        pairs = [*self.pairs(), *more]
        return f"{path}?{urlencode(pairs)}" if pairs else path

    def leave_out(self, rule_id: str) -> "PendingChanges":
        """Return the changes with this rule of the set removed."""
        return replace(self, without=tuple(dict.fromkeys([*self.without, rule_id])))

    def restore(self, rule_id: str) -> "PendingChanges":
        """Return the changes with this rule of the set kept again."""
        return replace(self, without=tuple(one for one in self.without if one != rule_id))

    def add(self, rule: RuleFields) -> "PendingChanges":
        """Return the changes with a new rule."""
        return replace(self, added=(*self.added, rule))

    def drop(self, number: int) -> "PendingChanges":
        """Return the changes without the added rule at an index."""
        return replace(self, added=tuple(one for at, one in enumerate(self.added) if at != number))

    def organisations(self) -> set[str]:
        """Return the ids of the organisations that the added rules and the default refer to."""
        named = [*self.added, *([self.default] if self.default else [])]
        ids = {rule[name] for rule in named for name in ("organisation_id", "page_owner_id") if name in rule}
        return {one for one in ids if is_id(one)}

    def rules_of(self, stored: list[dict[str, Any]]) -> list[Mapping[str, Any]]:
        """Return the rules of the new set: the stored ones that are kept, then the added ones."""
        return [*(rule for rule in stored if rule["id"] not in self.without), *self.added]


def pending_changes(query: QueryParams) -> PendingChanges:
    """Return the changes from the parameters of an address; invalid values are ignored."""
    added = [rule for text in query.getlist("rule") if (rule := _rule(text)) is not None]
    default = _rule(query["default"]) if "default" in query else None
    return PendingChanges(tuple(query.getlist("without")), tuple(added), default)


def _rule(text: str) -> RuleFields | None:
    try:
        found = json.loads(text)
    except ValueError:
        return None
    if not isinstance(found, dict):
        return None
    return {name: value for name in FIELDS if isinstance(value := found.get(name), str) and value}
