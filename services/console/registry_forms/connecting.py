"""Connect a page: look up its address in the network, then register it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from services.console.api_calls.client import ApiProblem
from services.console.choices.choices_by_name import Choice
from services.console.site.forms import refusal_of, start_of_day, wrong_fields
from services.console.site.visit import Visit

_WRONG = {
    "address": "Это не адрес сообщества: проверьте, что он открывается, и вставьте его целиком.",
    "external_id": "Эта страница уже подключена.",
    "organisation_id": "Выберите организацию.",
    "go_live_at": "Проверьте день.",
}
_NETWORK_SILENT = (
    "Соцсеть сейчас не ответила или нет рабочего ключа доступа. Верен ли адрес, пока неизвестно: повторите позже."
)


@dataclass(frozen=True)
class Connection:
    """The entered values, and the community at the address once it is known."""

    values: Mapping[str, str]
    organisation: Choice
    community: Mapping[str, Any] | None = None
    refusal: str = ""
    wrong: Mapping[str, str] = field(default_factory=dict)


async def look_up(visit: Visit, values: Mapping[str, str], organisation: Choice) -> Connection:
    """Return the community at the entered address, or why it cannot be found."""
    body = {"address": values.get("address", ""), "network": values.get("network") or None}
    try:
        answer = await visit.api.send("POST", "/pages/resolve", body)
    except ApiProblem as problem:
        return refused(values, organisation, problem)
    return Connection(values, organisation, answer.data)


def refused(values: Mapping[str, str], organisation: Choice, problem: ApiProblem) -> Connection:
    """Return the form with the refusal and the errors of its fields."""
    text = _NETWORK_SILENT if problem.slug == "unavailable" else refusal_of(problem)
    return Connection(values, organisation, None, text, wrong_fields(problem, _WRONG))


async def register(visit: Visit, form: Mapping[str, str], organisation: Choice) -> Any:
    """Register the page that was looked up and return it. Raises `ApiProblem` if the API refuses it."""
    body = {
        "organisation_id": organisation.id,
        "network": form.get("network", ""),
        "external_id": form.get("external_id", ""),
        "name": form.get("name", ""),
        "screen_name": form.get("screen_name") or None,
        "go_live_at": start_of_day(form.get("go_live_on", "")),
    }
    return (await visit.api.send("POST", "/pages", body, key=form.get("key"))).data


def community_in(form: Mapping[str, str]) -> dict[str, Any]:
    """Return the community that an earlier lookup stored in the form's hidden fields."""
    names = ("network", "external_id", "name", "screen_name", "url")
    return {name: form.get(name, "") for name in names} | {"page_id": None, "organisation": None}
