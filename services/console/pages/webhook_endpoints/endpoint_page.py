"""One webhook endpoint: its state, settings, secret and consent."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response

from services.console.api_calls.client import Answer, ApiProblem
from services.console.pages.webhook_endpoints.endpoint_form import (
    EndpointFields,
    endpoint_refusal,
    read_fields,
    selectable_types,
)
from services.console.pages.webhook_endpoints.event_words import event_groups, event_words
from services.console.site.addresses import asked, first_page, next_page
from services.console.site.forms import refusal_of
from services.console.site.visit import Visit, VisitDep, together
from services.console.words.formats import counted

_STATES = ("failed", "pending", "delivered")
_NOT_RECEIVING = "Подписка выключена, приостановлена или на паузе: сначала включите или продолжите её."
_ROTATED = (
    "Подписку изменили, пока страница была открыта: возможно, новый секрет уже выпущен. Проверьте и повторите."
)
_CHANGED = "Подписку изменили, пока страница была открыта: проверьте, куда уйдут тексты, и согласитесь снова."
_SWITCHED = {
    True: "Подписка включена.",
    False: "Подписка выключена. Неотправленные события помечены недоставленными.",
}
_PAUSED = {
    True: "Подписка на паузе: события копятся и уйдут, когда вы её продолжите.",
    False: "Подписка продолжена: накопленные события отправляются.",
}
_FILTERS = {
    "organisation_subtree": (
        "организация с подведомственными",
        "организации с подведомственными",
        "организаций с подведомственными",
    ),
    "topics": ("тема или группа тем", "темы или группы тем", "тем или групп тем"),
    "municipalities": ("муниципалитет", "муниципалитета", "муниципалитетов"),
}
# Actions without fields: method and path of the API call, and the note shown afterwards.
_ACTIONS = {
    "consent": ("POST", "consent", "Согласие записано: тексты уходят без масок."),
    "withdrawal": ("DELETE", "consent", "Согласие отозвано: персональные данные в текстах скрываются."),
    "verification": (
        "POST",
        "verification",
        "Проверка адреса отправляется: система должна повторить код в ответе.",
    ),
    "take-over": ("POST", "take-over", "Теперь за подписку отвечаете вы. Она продолжится со следующего события."),
}
router = APIRouter()


@router.get("/webhooks/{endpoint_id}")
async def show_endpoint(visit: VisitDep, endpoint_id: UUID) -> HTMLResponse:
    """Show an endpoint and its deliveries."""
    return await _endpoint(visit, endpoint_id)


@router.post("/webhooks/{endpoint_id}")
async def change_endpoint(visit: VisitDep, endpoint_id: UUID) -> Response:
    """Change address, events and description."""
    form = await visit.request.form()
    fields = read_fields(form)
    if fields.errors:
        return await _endpoint(visit, endpoint_id, fields, status=422)
    try:
        await _patched(visit, endpoint_id, fields.body(), str(form.get("version", "")))
    except ApiProblem as problem:
        return await _endpoint(visit, endpoint_id, endpoint_refusal(problem, fields), status=problem.status)
    return visit.redirect(f"/webhooks/{endpoint_id}", note="Подписка изменена")


@router.post("/webhooks/{endpoint_id}/activity")
async def switch_endpoint(visit: VisitDep, endpoint_id: UUID) -> Response:
    """Activate or deactivate an endpoint."""
    form = await visit.request.form()
    active = form.get("active") == "yes"
    try:
        await _patched(visit, endpoint_id, {"active": active}, str(form.get("version", "")))
    except ApiProblem as problem:
        return visit.redirect(f"/webhooks/{endpoint_id}", note=refusal_of(problem), kind="failed")
    return visit.redirect(f"/webhooks/{endpoint_id}", note=_SWITCHED[active])


@router.post("/webhooks/{endpoint_id}/pause")
async def pause_endpoint(visit: VisitDep, endpoint_id: UUID) -> Response:
    """Pause or resume an endpoint."""
    form = await visit.request.form()
    paused = form.get("paused") == "yes"
    try:
        await _patched(visit, endpoint_id, {"paused": paused}, str(form.get("version", "")))
    except ApiProblem as problem:
        return visit.redirect(f"/webhooks/{endpoint_id}", note=refusal_of(problem), kind="failed")
    return visit.redirect(f"/webhooks/{endpoint_id}", note=_PAUSED[paused])


@router.post("/webhooks/{endpoint_id}/secret")
async def rotate_secret(visit: VisitDep, endpoint_id: UUID) -> Response:
    """Create a new secret and show it; it cannot be shown again."""
    version = str((await visit.request.form()).get("version", ""))
    try:
        answer = await visit.api.send("POST", f"/webhooks/endpoints/{endpoint_id}/rotate-secret", version=version)
    except ApiProblem as problem:
        note = _ROTATED if problem.status == 412 else refusal_of(problem)
        return visit.redirect(f"/webhooks/{endpoint_id}", note=note, kind="failed")
    return visit.render("webhook_endpoints/secret.html", endpoint=answer.data, is_new=False)


@router.post("/webhooks/{endpoint_id}/test")
async def send_test(visit: VisitDep, endpoint_id: UUID) -> Response:
    """Send a test event now."""
    key = str((await visit.request.form()).get("key", ""))
    try:
        answer = await visit.api.send("POST", f"/webhooks/endpoints/{endpoint_id}/test", key=key)
    except ApiProblem as problem:
        note = _NOT_RECEIVING if problem.status == 409 else refusal_of(problem)
        return visit.redirect(f"/webhooks/{endpoint_id}", note=note, kind="failed")
    return visit.redirect(f"/webhooks/deliveries/{answer.data['id']}", note="Проверочное событие отправляется")


@router.post("/webhooks/{endpoint_id}/removal")
async def remove_endpoint(visit: VisitDep, endpoint_id: UUID) -> Response:
    """Delete an endpoint."""
    await visit.api.send("DELETE", f"/webhooks/endpoints/{endpoint_id}")
    return visit.redirect("/webhooks", note="Подписка удалена")


@router.post("/webhooks/{endpoint_id}/{action}")
async def act(visit: VisitDep, endpoint_id: UUID, action: str) -> Response:
    """Give or withdraw the consent, verify the address, or take responsibility for the endpoint."""
    back = f"/webhooks/{endpoint_id}"
    if action not in _ACTIONS:
        return visit.redirect(back)
    method, path, note = _ACTIONS[action]
    # The consent is for the endpoint as the page showed it; the other actions have no version.
    version = str((await visit.request.form()).get("version", "")) or None
    try:
        await visit.api.send(method, f"/webhooks/endpoints/{endpoint_id}/{path}", version=version)
    except ApiProblem as problem:
        refused = _CHANGED if problem.status == 412 else refusal_of(problem)
        return visit.redirect(back, note=refused, kind="failed")
    return visit.redirect(back, note=note)


async def _patched(visit: Visit, endpoint_id: UUID, body: dict[str, Any], version: str) -> Answer:
    return await visit.api.send("PATCH", f"/webhooks/endpoints/{endpoint_id}", body, version=version)


def _filter_words(endpoint: Mapping[str, Any]) -> list[str]:
    return [counted(len(endpoint[name]), *words) for name, words in _FILTERS.items() if endpoint[name]]


async def _endpoint(
    visit: Visit, endpoint_id: UUID, fields: EndpointFields | None = None, *, status: int = 200
) -> HTMLResponse:
    chosen = visit.request.query_params.get("status", "")
    parameters = {"endpoint_id": str(endpoint_id), "limit": 30, **asked(visit, "cursor")}
    answer, deliveries = await together(
        visit.api.send("GET", f"/webhooks/endpoints/{endpoint_id}"),
        visit.api.get("/webhooks/deliveries", {**parameters, "status": chosen if chosen in _STATES else None}),
    )
    endpoint = answer.data
    types = await selectable_types(visit) if visit.may("webhooks:manage") else []
    shown = fields or EndpointFields(
        endpoint["url"], endpoint["description"], endpoint["event_types"], endpoint["personal_data"]
    )
    return visit.render(
        "webhook_endpoints/endpoint.html",
        status=status,
        endpoint=endpoint,
        version=answer.version,
        filters=_filter_words(endpoint),
        fields=shown,
        groups=event_groups([*types, *endpoint["event_types"]]),
        deliveries=deliveries["items"],
        chosen=chosen,
        event_words=event_words,
        before=first_page(visit),
        after=next_page(visit, deliveries.get("next_cursor")),
    )
