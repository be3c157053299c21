"""The form of an endpoint: address, events, description."""

from dataclasses import dataclass, field
from typing import Any

from starlette.datastructures import FormData

from services.console.api_calls.client import ApiProblem
from services.console.site.forms import refusal_of
from services.console.site.visit import Visit

_NO_URL = "Введите адрес, на который присылать события."
_NO_TYPES = "Выберите хотя бы одно событие."
_WRONG_URL = (
    "Такой адрес не подходит. Нужен адрес, начинающийся с https://, доступный из интернета, без имени и пароля."
)
_NO_RIGHT = "На часть событий у вас нет прав. Снимите их."
_HOST = "Тексты без масок можно отправлять только на серверы, которые внёс в список администратор системы."
# Sent on request, whatever an endpoint subscribes to.
_SENT_ON_REQUEST = frozenset({"webhook.test", "webhook.verification"})
_TOO_MANY = "Больше подписок завести нельзя. Удалите ненужную."


@dataclass
class EndpointFields:
    """The entered values of an endpoint, and their errors."""

    url: str = ""
    description: str = ""
    event_types: list[str] = field(default_factory=list)
    personal_data: bool = False
    errors: dict[str, str] = field(default_factory=dict)
    refusal: str = ""

    def body(self) -> dict[str, Any]:
        """Return the fields as a request body for the API."""
        return {
            "url": self.url,
            "description": self.description,
            "event_types": self.event_types,
            "personal_data": self.personal_data,
        }


def read_fields(form: FormData) -> EndpointFields:
    """Return the entered values."""
    fields = EndpointFields(
        str(form.get("url", "")).strip(),
        str(form.get("description", "")).strip(),
        [str(one) for one in form.getlist("event_types")],
        "personal_data" in form,
    )
    if not fields.url:
        fields.errors["url"] = _NO_URL
    if not fields.event_types:
        fields.errors["event_types"] = _NO_TYPES
    return fields


def endpoint_refusal(problem: ApiProblem, fields: EndpointFields) -> EndpointFields:
    """Return the fields with the API's refusal as errors. Raise the problem if the form cannot correct it."""
    if problem.status == 403 and any(pointer.startswith("/event_types") for pointer in problem.fields):
        fields.errors["event_types"] = _NO_RIGHT
    elif "/url" in problem.fields:
        fields.errors["url"] = _WRONG_URL
    elif "/personal_data" in problem.fields:
        fields.errors["personal_data"] = _HOST
    elif problem.status == 409 and problem.slug == "conflict":
        fields.refusal = _TOO_MANY
    else:
        fields.refusal = refusal_of(problem)
    return fields


async def selectable_types(visit: Visit) -> list[str]:
    """Return the event types that the person has the right to."""
    listed = await visit.api.get("/webhooks/event-types")
    return [
        one["type"] for one in listed["items"] if visit.may(one["right"]) and one["type"] not in _SENT_ON_REQUEST
    ]
