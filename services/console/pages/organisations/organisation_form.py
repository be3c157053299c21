"""The form of an organisation, and the request body made from its fields."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from services.console.api_calls.client import Api
from services.console.choices.choices_by_name import Choice
from services.console.site.visit import together
from services.console.words.labels import LABELS

_TEXTS = (
    "name", "short_name", "kind", "sphere", "municipality", "oktmo", "inn", "ogrn", "code", "address", "phone",
    "email", "site", "pos_opa_id", "calendar_id", "valid_from", "valid_to", "exempt_reason", "exempt_document",
)  # fmt: skip
# Fields whose values are codes, not text.
CHOSEN = ("kind", "municipality", "calendar_id", "active")
_OTHER_SPHERES = ("sphere_2", "sphere_3")
KINDS = tuple(LABELS["organisation_kind"].items())
WRONG = {
    "name": "Введите название: одна строка, до 500 знаков.",
    "short_name": "Одна строка, до 200 знаков.",
    "kind": "Выберите вид.",
    "code": "Код: строчные латинские буквы, цифры, точка, дефис; у каждой организации свой.",
    "inn": "ИНН: 10 или 12 цифр; проверьте, нет ли опечатки.",
    "ogrn": "ОГРН: 13 или 15 цифр; проверьте, нет ли опечатки.",
    "oktmo": "ОКТМО: 8 или 11 цифр, в пределах выбранного муниципалитета.",
    "municipality": "ОКТМО не из этого муниципалитета.",
    "sphere": "Укажите сначала основную сферу; сферы не повторяются.",
    "other_spheres": "Укажите сначала основную сферу; сферы не повторяются.",
    "email": "Проверьте адрес почты.",
    "site": "Адрес сайта начинается с https:// или http://.",
    "phone": "Проверьте телефон.",
    "pos_opa_id": "Номер в ПОС: только цифры.",
    "valid_from": "Первый день позже последнего.",
    "valid_to": "Последний день раньше первого.",
    "exempt_reason": "К документу укажите основание.",
    "exempt_document": "К документу укажите основание.",
    "parent_id": "Вышестоящей не может быть сама организация или подчинённая ей.",
    "active": "Последний день прошёл: действующей организация быть не может.",
}


@dataclass(frozen=True)
class OrganisationForm:
    """The data of the form: values by field, the parent organisation, errors."""

    values: Mapping[str, str]
    parent: Choice
    refusal: str = ""
    wrong: Mapping[str, str] = field(default_factory=dict)


def shown_values(organisation: Mapping[str, Any]) -> dict[str, str]:
    """Return the fields of an organisation as values of the form."""
    values = {name: str(organisation[name] or "") for name in _TEXTS}
    spheres = [*organisation["other_spheres"], "", ""]
    values |= dict(zip(_OTHER_SPHERES, spheres, strict=False))
    values["active"] = "yes" if organisation["active"] else ""
    return values


def request_body(form: Mapping[str, str], parent: Choice, *, is_new: bool) -> dict[str, Any]:
    """Return the request body; an empty field is sent as null."""
    body: dict[str, Any] = {name: form.get(name) or None for name in _TEXTS}
    body["name"], body["kind"] = form.get("name", ""), form.get("kind", "")
    body["other_spheres"] = [value for name in _OTHER_SPHERES if (value := form.get(name))]
    body["parent_id"] = parent.id
    if not is_new:
        body["active"] = form.get("active") == "yes"
    return body


async def options(api: Api) -> dict[str, list[tuple[str, str]]]:
    """Return the options of the select fields."""
    municipalities, calendars = await together(
        api.get("/municipalities", {"limit": 100}), api.get("/calendars", {"limit": 100})
    )
    own = [(one["id"], one["name"]) for one in calendars["items"] if not one["is_default"]]
    return {
        "kinds": [("", "— выберите —"), *KINDS],
        "municipalities": [("", "—"), *((one["oktmo"], one["name"]) for one in municipalities["items"])],
        "calendars": [("", "календарь региона"), *own],
    }
