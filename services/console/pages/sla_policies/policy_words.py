"""SLA policies in words: which appeals they apply to, and whether they are in effect."""

from collections.abc import Mapping
from typing import Any

from services.console.choices.topic_names import Topics
from services.console.words.formats import parsed
from services.console.words.labels import label
from shared import clock


class PolicyWords:
    """The texts about a version of a policy for the templates."""

    def __init__(self, topics: Topics) -> None:
        self.topics = topics

    def conditions(self, policy: Mapping[str, Any]) -> str:
        """Return as text which appeals a policy applies to."""
        found = [label(policy["urgency"], "urgency")] if policy["urgency"] else []
        if policy["topic_id"]:
            found.append(self.topics.words(policy["topic_id"]))
        if policy["organisation_kind"]:
            found.append(label(policy["organisation_kind"], "organisation_kind"))
        if policy["channel"]:
            found.append(f"канал: {label(policy['channel'], 'channel')}")
        if policy["legal_regime"]:
            found.append(f"правовой режим: {policy['legal_regime']}")
        return ", ".join(found) or "все обращения"

    def state(self, policy: Mapping[str, Any]) -> str:
        """Return `planned`, `ended` or `current`."""
        now = clock.now()
        if parsed(policy["valid_from"]) > now:
            return "planned"
        return "ended" if policy["valid_until"] and parsed(policy["valid_until"]) <= now else "current"

    def since_ever(self, policy: Mapping[str, Any]) -> bool:
        """Return whether a policy was installed with the system: such policies begin in 2000 or earlier."""
        return parsed(policy["valid_from"]).year <= 2000
