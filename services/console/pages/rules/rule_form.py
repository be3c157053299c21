"""The form for one rule."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from services.console.choices.choices_by_name import Choice, chosen_organisation, chosen_topic, topic_choice
from services.console.choices.topic_names import load_topics
from services.console.pages.rules.rule_words import FIELDS, RuleFields, RuleWords
from services.console.site.visit import Visit, together

_NO_CONDITION = "Укажите хотя бы одно условие. Остальные обращения направляет умолчание набора."
_NO_MUNICIPALITY = "К населённому пункту выберите муниципалитет: такие названия есть в нескольких."
_NO_ORGANISATION = "Укажите организацию, которая отвечает."
_TWICE = "Владелец страницы уже указан: вид и сферу владельца не указывайте."


@dataclass
class RuleForm:
    """The entered values of a rule, and their errors."""

    fields: RuleFields
    organisation: Choice
    page_owner: Choice
    topic: Choice
    errors: dict[str, str] = field(default_factory=dict)

    @property
    def is_wrong(self) -> bool:
        """Return whether the form has errors."""
        return bool(self.errors or self.organisation.error or self.page_owner.error or self.topic.error)


def blank_form() -> RuleForm:
    """Return an empty form."""
    fields = {"send_to": "organisation"}
    return RuleForm(fields, Choice("organisation"), Choice("page_owner"), Choice("topic"))


def stored_form(fields: RuleFields, words: RuleWords) -> RuleForm:
    """Return the form filled with a stored rule."""
    named = {
        name: Choice(name, words.organisation(fields[f"{name}_id"]), fields[f"{name}_id"])
        if f"{name}_id" in fields
        else Choice(name)
        for name in ("organisation", "page_owner")
    }
    topic = topic_choice(words.topics, fields.get("topic_id"))
    return RuleForm(fields, named["organisation"], named["page_owner"], topic)


async def read_form(visit: Visit, sent: Mapping[str, Any]) -> RuleForm:
    """Return the form with the submitted rule and its errors."""
    fields = {name: str(sent[name]).strip() for name in FIELDS if str(sent.get(name, "")).strip()}
    for name in ("organisation_id", "page_owner_id", "topic_id"):
        fields.pop(name, None)
    organisation, page_owner, topics = await together(
        chosen_organisation(visit.api, sent, "organisation"),
        chosen_organisation(visit.api, sent, "page_owner"),
        load_topics(visit),
    )
    form = RuleForm(fields, organisation, page_owner, chosen_topic(topics, sent))
    if form.topic.id:
        fields["topic_id"] = form.topic.id
    if page_owner.id:
        fields["page_owner_id"] = page_owner.id
        if "page_owner_sphere" in fields or "page_owner_kind" in fields:
            page_owner.error = _TWICE
    if fields.get("send_to") != "organisation":
        form.organisation = Choice("organisation")
    elif organisation.id:
        fields["organisation_id"] = organisation.id
    elif not organisation.error:
        organisation.error = _NO_ORGANISATION
    if "settlement" in fields and "municipality" not in fields:
        form.errors["municipality"] = _NO_MUNICIPALITY
    if not fields.keys() - {"send_to", "organisation_id", "reason"} and not (
        page_owner.written or form.topic.written
    ):
        form.errors["condition"] = _NO_CONDITION
    return form
