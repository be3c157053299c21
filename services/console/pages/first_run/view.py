"""The first run: three steps from an empty system to a connected page."""

from dataclasses import dataclass, field, replace
from typing import Any

from fastapi.responses import HTMLResponse, Response

from services.console.api_calls.client import ApiProblem
from services.console.choices.choices_by_name import known_choice
from services.console.registry_forms import connecting, tokens
from services.console.registry_forms.connecting import Connection
from services.console.registry_forms.registry_state import (
    PATH,
    may_set_up,
    registry_state,
)
from services.console.site.forms import entered, refusal_of, wrong_fields
from services.console.site.page import Page, page_router
from services.console.site.visit import Visit, VisitDep
from services.console.words.labels import LABELS

router = page_router()
PAGE = Page(router)
_WRONG = {"name": "Введите название: одна строка, до 500 знаков.", "kind": "Выберите вид."}
_NETWORK_SILENT = (
    "К соцсети пока нельзя обратиться: нет рабочего ключа доступа. Введите ниже сервисный ключ приложения и "
    "повторите."
)


@dataclass(frozen=True)
class Entered:
    """The values entered in the current step, and their errors."""

    values: dict[str, str] = field(default_factory=dict)
    refusal: str = ""
    wrong: dict[str, str] = field(default_factory=dict)
    community: Any = None
    asks_token: bool = False


@router.get(PATH)
async def show_first_run(visit: VisitDep) -> HTMLResponse:
    """Show the next step."""
    return await _page(visit, Entered())


@router.post(f"{PATH}/organisation")
async def register_first_organisation(visit: VisitDep) -> Response:
    """Register the first organisation."""
    form = await entered(visit.request)
    body = {"name": form.get("name", ""), "kind": form.get("kind", "")}
    try:
        await visit.api.send("POST", "/organisations", body, key=form.get("key"))
    except ApiProblem as problem:
        return await _page(visit, _refused(form, problem, _WRONG), status=problem.status)
    return visit.redirect(PATH, note="Организация добавлена")


@router.post(f"{PATH}/page")
async def connect_first_page(visit: VisitDep) -> Response:
    """Look up the address; register the page once the person has seen which community it belongs to."""
    form = await entered(visit.request)
    state = await registry_state(visit)
    organisation = known_choice("organisation", state.organisation)
    if form.get("service_token"):
        try:
            await _add_service_token(visit, form)
        except ApiProblem as problem:
            shown = _refused(form, problem, {"token": "Вставьте ключ целиком."})
            return await _page(visit, replace(shown, asks_token=True), status=problem.status)
    if not form.get("external_id"):
        found = await connecting.look_up(visit, form, organisation)
        return await _page(visit, _looked_up(form, found))
    try:
        await connecting.register(visit, form, organisation)
    except ApiProblem as problem:
        refused = connecting.refused(form, organisation, problem)
        shown = Entered(form, refused.refusal, dict(refused.wrong), connecting.community_in(form))
        return await _page(visit, shown, status=problem.status)
    return visit.redirect(PATH, note="Страница подключена")


@router.post(f"{PATH}/token")
async def save_first_token(visit: VisitDep) -> Response:
    """Store the token of the page."""
    form = await entered(visit.request)
    page = (await registry_state(visit)).page
    if page is None:
        return visit.redirect(PATH)
    try:
        await tokens.add_token(visit, page["network"], page["id"], form)
    except ApiProblem as problem:
        shown = Entered({}, refusal_of(problem), tokens.wrong_token(problem))
        return await _page(visit, shown, status=problem.status)
    return visit.redirect(PATH, note="Ключ сохранён, начинаем читать страницу")


async def _add_service_token(visit: Visit, form: dict[str, str]) -> None:
    body = {"network": "vk", "kind": "service", "token": form["service_token"]}
    await visit.api.send("POST", "/sources/tokens", body)


def _looked_up(form: dict[str, str], found: Connection) -> Entered:
    # Without a token the network refuses the lookup, whatever the address is.
    silent = found.community is None and bool(found.refusal) and not found.wrong
    refusal = _NETWORK_SILENT if silent else found.refusal
    shown = {name: value for name, value in form.items() if name != "service_token"}
    return Entered(shown, refusal, dict(found.wrong), found.community, silent)


def _refused(form: dict[str, str], problem: ApiProblem, words: dict[str, str]) -> Entered:
    shown = {name: value for name, value in form.items() if name != "service_token"}
    return Entered(shown, refusal_of(problem), wrong_fields(problem, words))


async def _page(visit: Visit, shown: Entered, *, status: int = 200) -> HTMLResponse:
    state = await registry_state(visit)
    if state.page is not None:
        collection = await tokens.collection_of(visit, state.page["id"])
        state = replace(state, collection=collection)
    return visit.render(
        "first_run/first_run.html",
        status=status,
        state=state,
        page=state.page,
        form=shown,
        values=shown.values,
        wrong=shown.wrong,
        kinds=[("", "— выберите —"), *LABELS["organisation_kind"].items()],
        may_set_up=may_set_up(visit),
    )
