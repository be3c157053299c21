"""The form of one rule."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from services.console.pages.rules.rule_words import FIELDS, RuleFields, RuleWords
from services.console.site.chosen_organisation import ChosenOrganisation, chosen_organisation
from services.console.site.visit import Visit, together

_NO_CONDITION = "Укажите хотя бы одно условие. Всё остальное идёт по умолчанию набора."
_NO_MUNICIPALITY = "К населённому пункту выберите муниципалитет: такие названия есть в нескольких."
_NO_ORGANISATION = "Назовите организацию, которая отвечает."
_TWICE = "Владелец страницы уже назван: вид и сферу владельца не указывайте."


@dataclass
class RuleForm:
    """What was entered, and what is wrong with it."""

    fields: RuleFields
    organisation: ChosenOrganisation
    page_owner: ChosenOrganisation
    errors: dict[str, str] = field(default_factory=dict)

    @property
    def is_wrong(self) -> bool:
        """Return whether the form has to be corrected."""
        return bool(self.errors or self.organisation.error or self.page_owner.error)


def blank_form() -> RuleForm:
    """Return an empty form."""
    fields = {"send_to": "organisation"}
    return RuleForm(fields, ChosenOrganisation("organisation"), ChosenOrganisation("page_owner"))


def stored_form(fields: RuleFields, words: RuleWords) -> RuleForm:
    """Return the form of a rule of the set."""
    named = {
        name: ChosenOrganisation(name, words.organisation(fields[f"{name}_id"]), fields[f"{name}_id"])
        if f"{name}_id" in fields
        else ChosenOrganisation(name)
        for name in ("organisation", "page_owner")
    }
    return RuleForm(fields, named["organisation"], named["page_owner"])


async def read_form(visit: Visit, sent: Mapping[str, Any]) -> RuleForm:
    """Return the rule that was entered."""
    fields = {name: str(sent[name]).strip() for name in FIELDS if str(sent.get(name, "")).strip()}
    fields.pop("organisation_id", None)
    fields.pop("page_owner_id", None)
    organisation, page_owner = await together(
        chosen_organisation(visit, sent, "organisation"), chosen_organisation(visit, sent, "page_owner")
    )
    form = RuleForm(fields, organisation, page_owner)
    if page_owner.id:
        fields["page_owner_id"] = page_owner.id
        if "page_owner_sphere" in fields or "page_owner_kind" in fields:
            page_owner.error = _TWICE
    if fields.get("send_to") != "organisation":
        form.organisation = ChosenOrganisation("organisation")
    elif organisation.id:
        fields["organisation_id"] = organisation.id
    elif not organisation.error:
        organisation.error = _NO_ORGANISATION
    if "settlement" in fields and "municipality" not in fields:
        form.errors["municipality"] = _NO_MUNICIPALITY
    if not fields.keys() - {"send_to", "organisation_id", "reason"} and not page_owner.written:
        form.errors["condition"] = _NO_CONDITION
    return form
