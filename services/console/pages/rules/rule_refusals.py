"""What is wrong with rules, in Russian: the API names the rule by its number and says why."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from services.console.api_calls.client import ApiProblem
from services.console.pages.rules.rule_words import RuleWords, rule_fields

_OTHER = "правило заполнено неверно"
FIELD_OF_RULE = re.compile(r"/rules/(\d+)(?:/(\w+))?$")


def set_faults(problem: ApiProblem, rules: Sequence[Mapping[str, Any]], words: RuleWords) -> list[str]:
    """Return what is wrong with a set, rule by rule. `rules` are in the order that the API numbered."""
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
