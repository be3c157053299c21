"""What is wrong with rules, in Russian: the API names the rule by its number and says why in English."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from services.console.api_calls.client import ApiProblem
from services.console.pages.rules.rule_words import RuleWords, rule_fields

# Beginnings of the details of `services/appeals/routing/validation.py`.
_EXPLAINED = (
    ("Name the organisation", "не названа организация, которая отвечает"),
    ("No such organisation", "такой организации нет"),
    ("The organisation is closed", "организация закрыта"),
    ("A rule set needs a default", "не сказано, кому идут обращения, к которым не подошло ни одно правило"),
    ("A rule needs a condition", "у правила нет ни одного условия"),
    ("No such topic", "такой темы больше нет"),
    ("No such municipality", "такого муниципалитета нет"),
    ("Also name the municipality", "к населённому пункту выберите муниципалитет"),
    ("No such settlement", "такого населённого пункта в этом муниципалитете нет"),
    ("Leave it out", "страница уже названа: сфера и вид владельца лишние"),
    ("Never reached", "такое же правило уже есть"),
    ("Conflicts with", "противоречит другому правилу с теми же условиями"),
    ("A forwarding loop", "организации передают обращения друг другу по кругу"),
    ("Too many rules forward", "слишком много правил передачи между одними и теми же организациями"),
)
_OTHER = "правило заполнено неверно"
FIELD_OF_RULE = re.compile(r"/rules/(\d+)(?:/(\w+))?$")


def fault_words(detail: str) -> str:
    """Return what a detail of the API says, in Russian."""
    return next((words for start, words in _EXPLAINED if detail.startswith(start)), _OTHER)


def set_faults(problem: ApiProblem, rules: Sequence[Mapping[str, Any]], words: RuleWords) -> list[str]:
    """Return what is wrong with a set, rule by rule. `rules` are in the order that the API numbered."""
    faults = []
    for pointer, detail in problem.fields.items():
        found = FIELD_OF_RULE.match(pointer)
        text = fault_words(detail)
        if found and int(found[1]) < len(rules):
            fields = rule_fields(rules[int(found[1])])
            faults.append(f"{words.conditions(fields)} → {words.target(fields)}: {text}")
        else:
            faults.append(text)
    return faults
