"""Errors of rules in Russian: the API gives the rule's index and the reason."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from services.console.api_calls.client import ApiProblem
from services.console.pages.rules.rule_words import RuleWords, rule_fields

_OTHER = "правило заполнено неверно"
FIELD_OF_RULE = re.compile(r"/rules/(\d+)(?:/(\w+))?$")


def set_faults(problem: ApiProblem, rules: Sequence[Mapping[str, Any]], words: RuleWords) -> list[str]:
    """Return the errors of a set, each with its rule. `rules` must have the order in which they were sent to the
    API.
    """
    faults = []
    for pointer in problem.fields:
        found = FIELD_OF_RULE.match(pointer)
        text = problem.texts.get(pointer, _OTHER)
        if found and int(found[1]) < len(rules):
            fields = rule_fields(rules[int(found[1])])
            faults.append(f"{words.conditions(fields)} → {words.target(fields)}: {text}")
        else:
            faults.append(text)
    return faults
