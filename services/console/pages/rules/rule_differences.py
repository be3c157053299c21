"""The differences between two rule sets: changed, added and removed rules, and the default."""

from typing import Any

from services.console.pages.rules.rule_words import RuleRow, RuleWords, named_in, rule_rows


def differences(changes: dict[str, Any], words: RuleWords) -> dict[str, Any]:
    """Return the differences between two rule sets as rows of a table."""
    pairs = [(pair["before"], pair["after"]) for pair in changes["changed"]]
    rules = [*changes["added"], *changes["removed"], *(rule for pair in pairs for rule in pair)]
    words = RuleWords(words.topics, words.municipalities, {**words.organisations, **named_in(rules)})

    def row(rule: dict[str, Any]) -> RuleRow:
        return rule_rows([rule], words)[0]

    return {
        "changed": [(row(before), row(after)) for before, after in pairs],
        "added": rule_rows(changes["added"], words),
        "removed": rule_rows(changes["removed"], words),
        "unchanged": changes["unchanged_count"],
        "against": changes["against"],
        "default_before": changes["default_before"],
    }
