"""Create an appeal that came by phone, at the reception or by letter."""

from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse, Response

from services.console.api_calls.client import ApiProblem
from services.console.choices.choices_by_name import Choice, chosen_topic
from services.console.choices.topic_names import load_topics
from services.console.pages.new_appeal.submission import CHANNELS, WrongSubmission, request_of, wrong_fields
from services.console.site.kept_form import KeptForm
from services.console.site.page import NavigationLink, Page, Section, page_router
from services.console.site.visit import OptionalVisitDep, Visit, VisitDep
from shared import clock

PATH = "/appeals-new"
router = page_router()
PAGE = Page(
    router,
    (NavigationLink(Section.WORK, 15, "Новое обращение", PATH, rights=frozenset({"appeals:open"}), key="c"),),
)

_KEPT = KeptForm("Обращение не заведено", "Завести обращение", {"text": "О чём обращение"})


@router.get(PATH)
async def show_form(visit: VisitDep) -> HTMLResponse:
    """Show the empty form, with the channel that was used last."""
    channel = visit.request.query_params.get("source", "phone")
    source = channel if channel in dict(CHANNELS) else "phone"
    return await _shown(visit, {"source": source}, Choice("topic"))


@router.post(PATH)
async def open_appeal(request: Request, visit: OptionalVisitDep) -> Response:
    """Create the appeal, and show it."""
    return await _KEPT.or_result(request, visit, _entered)


async def _entered(visit: Visit) -> Response:
    entered = {name: str(value).strip() for name, value in (await visit.request.form()).items()}
    topic = chosen_topic(await load_topics(visit), entered) if entered.get("topic") else Choice("topic")
    try:
        body = await request_of(visit.api, visit.me, entered, topic)
        answer = await visit.api.send("POST", "/appeals", body, key=entered.get("key"))
    except WrongSubmission as wrong:
        return await _shown(visit, entered, topic, wrong, status=422)
    except ApiProblem as problem:
        if problem.status not in {403, 409, 422}:
            raise
        return await _shown(visit, entered, topic, wrong_fields(problem), status=problem.status)
    return _opened(visit, answer.data, is_new=answer.status == 201)


def _opened(visit: Visit, appeal: dict[str, Any], *, is_new: bool) -> Response:
    number = appeal["number"]
    owner, own = appeal["organisation"], visit.me["organisation"]
    # People of an organisation cannot open an appeal that was assigned to another organisation.
    if own is not None and not visit.me["include_subordinates"] and (owner is None or owner["id"] != own["id"]):
        whose = f"передано: {owner['name']}" if owner else "у модератора"
        return visit.redirect(f"{PATH}?source={appeal['source']}", note=f"Обращение № {number} принято, {whose}")
    note = f"Обращение № {number} заведено" if is_new else f"Такое обращение уже есть: № {number}"
    return visit.redirect(f"/appeals/{appeal['id']}", note=note)


async def _shown(
    visit: Visit,
    entered: dict[str, str],
    topic: Choice,
    wrong: WrongSubmission | None = None,
    *,
    status: int = 200,
) -> HTMLResponse:
    wrong = wrong or WrongSubmission()
    topic.error = wrong.fields.get("topic_id", topic.error)
    municipalities = await visit.api.get_all("/municipalities")
    return visit.render(
        "new_appeal/new_appeal.html",
        status=status,
        entered=entered, wrong=wrong, channels=CHANNELS,
        now=f"{clock.now().astimezone(clock.REGION_TIME_ZONE):%Y-%m-%dT%H:%M}",
        municipalities=[(one["oktmo"], one["name"]) for one in municipalities],
        topic=topic,
    )  # fmt: skip
