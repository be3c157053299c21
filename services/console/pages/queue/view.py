"""The moderators' queue: one appeal per screen, decided with the keyboard; after a decision the next one is
shown.
"""

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote

from fastapi.responses import HTMLResponse, Response

from services.console.api_calls.client import ApiProblem
from services.console.choices.organisation_choice import search_organisations
from services.console.pages.queue import queue_decisions, queue_matters, queue_reviews
from services.console.pages.queue.queue_decisions import Assignment, Location, NoAnswer, Outcome, Topic
from services.console.pages.queue.queue_screen import RIGHT, Screen, Upcoming, load, upcoming
from services.console.pages.queue.queue_state import PATH, QueueState
from services.console.site.page import NavigationLink, Page, Section, page_router
from services.console.site.visit import Visit, VisitDep, together
from services.console.words.labels import label
from services.console.words.refusals import explained

router = page_router()
router.include_router(queue_matters.router)
router.include_router(queue_reviews.router)
PAGE = Page(
    router, (NavigationLink(Section.WORK, 20, "Очередь модератора", PATH, rights=frozenset({RIGHT}), key="q"),)
)
TABS = (
    ("Все", ()),
    ("Нужен ли ответ", ("need_unclear", "buryat_text", "other_region")),
    (
        "Кто ответит",
        ("topic_uncertain", "moderators_by_rule", "no_rule", "page_unknown", "organisation_closed",
         "no_role_holder", "several_role_holders"),
    ),
    ("Возвращённые", ("returned",)),
)  # fmt: skip
_ENDED = frozenset({"answered", "closed", "not_required", "merged"})
_CHANGED = "Пока вы читали, обращение изменилось. Прочтите его ещё раз."


@router.get(PATH)
async def show_queue(
    visit: VisitDep, appeal: str = "", organisation_q: str = "", topic_q: str = ""
) -> HTMLResponse:
    """Show the next appeal, or the appeal of the address if it is still in triage."""
    visit.require(RIGHT)
    state = QueueState.of(visit.request.query_params)
    found, organisations, topics = await together(
        upcoming(visit, state),
        search_organisations(visit.api, organisation_q, limit=9),
        find_topics(visit, topic_q),
    )
    screen = await _next_screen(visit, found, appeal)
    return _rendered(
        visit, state, found.remaining, screen, organisations=organisations, topics=topics,
        organisation_q=organisation_q, topic_q=topic_q,
    )  # fmt: skip


@router.get(f"{PATH}/organisations")
async def show_organisations(visit: VisitDep, organisation_q: str = "") -> HTMLResponse:
    """Return organisations that match the typed name, as buttons."""
    found = await search_organisations(visit.api, organisation_q, limit=9)
    return visit.fragment("queue/found_organisations.html", organisations=found, organisation_q=organisation_q)


@router.get(f"{PATH}/topics")
async def show_topics(visit: VisitDep, topic_q: str = "") -> HTMLResponse:
    """Return topics that match the typed words, as buttons."""
    return visit.fragment("queue/found_topics.html", topics=await find_topics(visit, topic_q), topic_q=topic_q)


@router.post(PATH + "/{appeal_id}/assignment")
async def assign(visit: VisitDep, appeal_id: str, form: Assignment) -> Response:
    """Assign the appeal, and show the next one."""
    return await _decide(visit, appeal_id, lambda: queue_decisions.assign(visit, appeal_id, form))


@router.post(PATH + "/{appeal_id}/no-answer")
async def end_without_answer(visit: VisitDep, appeal_id: str, form: NoAnswer) -> Response:
    """Decide that no answer is needed, and show the next appeal."""
    return await _decide(visit, appeal_id, lambda: queue_decisions.end_without_answer(visit, appeal_id, form))


@router.post(PATH + "/{appeal_id}/topic")
async def correct_topic(visit: VisitDep, appeal_id: str, form: Topic) -> Response:
    """Correct the topic; the appeal stays on the screen unless the rules then assign it."""
    return await _decide(visit, appeal_id, lambda: queue_decisions.correct_topic(visit, appeal_id, form))


@router.post(PATH + "/{appeal_id}/location")
async def name_location(visit: VisitDep, appeal_id: str, form: Location) -> Response:
    """Set the location; the appeal stays on the screen unless the rules then assign it."""
    return await _decide(visit, appeal_id, lambda: queue_decisions.name_location(visit, appeal_id, form))


@router.post(PATH + "/{appeal_id}/take-back")
async def take_back(visit: VisitDep, appeal_id: str, version: int = 0) -> Response:
    """Undo the decision that made this version of the appeal, and show the appeal again."""
    visit.require(RIGHT)
    state = QueueState.of(visit.request.query_params)
    try:
        note = await queue_decisions.take_back(visit, appeal_id, version)
    except ApiProblem as problem:
        if problem.status not in {409, 412}:
            raise
        failed = "Отменить нельзя: прошло много времени, или обращение с тех пор изменилось."
        return visit.redirect(state.address(), note=failed, kind="failed")
    return visit.redirect(state.address(appeal=appeal_id), note=note)


async def find_topics(visit: Visit, words: str) -> list[dict[str, Any]]:
    """Return the topics and groups that match the words."""
    if not words.strip():
        return []
    found = await visit.api.get("/topics", {"q": words.strip()[:200], "limit": 12})
    items: list[dict[str, Any]] = found["items"]
    return items


async def _next_screen(visit: Visit, found: Upcoming, wanted: str = "", besides: str = "") -> Screen | None:
    if wanted:
        screen = await load(visit, wanted)
        if screen.appeal["status"] == "triage":
            return screen
    head = found.first(besides=besides)
    return await load(visit, head["id"]) if head else None


async def _decide(visit: Visit, appeal_id: str, decide: Callable[[], Awaitable[Outcome]]) -> Response:
    """Send the decision for the version that the person saw, while the next appeal is loaded; respond with that
    appeal.
    """
    visit.require(RIGHT)
    state = QueueState.of(visit.request.query_params)
    found = await upcoming(visit, state)
    ahead = _next_screen(visit, found, besides=appeal_id) if visit.is_swap else _nothing()
    outcome, screen = await together(_outcome(decide), ahead)
    if isinstance(outcome, ApiProblem):
        return await _after_problem(visit, state, found, appeal_id, outcome)
    undo = None
    if outcome.version is not None:
        path = state.address(f"{PATH}/{appeal_id}/take-back", version=str(outcome.version))
        undo = {"path": path, "label": "Отменить"}
    note = {"text": outcome.note, "kind": "done", "undo": undo}
    if not outcome.left_queue:
        return visit.redirect(state.address(appeal=appeal_id), note=outcome.note, undo=undo)
    if not visit.is_swap:
        return visit.redirect(state.address(), note=outcome.note, undo=undo)
    return _rendered(visit, state, max(found.remaining - 1, 0), screen, note=note)


async def _nothing() -> None:
    return None


async def _outcome(decide: Callable[[], Awaitable[Outcome]]) -> Outcome | ApiProblem:
    try:
        return await decide()
    except ApiProblem as problem:
        if problem.status not in {409, 412, 422}:
            raise
        return problem


async def _after_problem(
    visit: Visit, state: QueueState, found: Upcoming, appeal_id: str, problem: ApiProblem
) -> Response:
    """Show why the decision failed: a colleague decided first, the appeal changed, or the decision is not
    possible.
    """
    appeal = await visit.api.get(f"/appeals/{appeal_id}")
    if appeal["status"] != "triage":
        return await _decided_meanwhile(visit, state, found, appeal)
    text = _CHANGED if problem.status == 412 else explained(problem)
    return await _refused(visit, state, found, appeal_id, text=text, status=problem.status)


async def _refused(
    visit: Visit, state: QueueState, found: Upcoming, appeal_id: str, *, text: str, status: int
) -> HTMLResponse:
    screen = await _next_screen(visit, found, appeal_id)
    return _rendered(visit, state, found.remaining, screen, refusal=text, status=status)


async def _decided_meanwhile(visit: Visit, state: QueueState, found: Upcoming, appeal: dict[str, Any]) -> Response:
    """Redirect to the next appeal with a note on who decided; a repeated decision of the same person is not an
    error.
    """
    last = appeal["timeline"][-1]["actor"] if appeal["timeline"] else {"id": None, "name": "коллега"}
    if appeal["organisation"] and appeal["status"] not in _ENDED:
        result = f"назначено: {appeal['organisation']['name']}"
    else:
        result = label(appeal["status"], "appeal_status")
    if last["id"] == visit.me["person"]["id"]:
        return visit.redirect(state.address(), note=f"Обращение № {appeal['number']} вы уже разобрали ({result})")
    note = f"Обращение № {appeal['number']} уже разобрал(а) {last['name']} ({result}). Показано следующее"
    return visit.redirect(state.address(), note=note, kind="failed")


def _rendered(
    visit: Visit,
    state: QueueState,
    remaining: int,
    screen: Screen | None,
    *,
    status: int = 200,
    note: dict[str, Any] | None = None,
    refusal: str = "",
    **found: Any,
) -> HTMLResponse:
    later = None
    if screen is not None:
        urgent = screen.appeal["urgency"] == "high"
        later = state.without(screen.appeal, urgent=urgent).address()
    blank = {"organisations": [], "topics": [], "organisation_q": "", "topic_q": ""}
    response = visit.render(
        "queue/queue.html",
        status=status,
        note=note,
        state=state,
        tabs=[(title, QueueState(reasons).address(), reasons == state.reasons) for title, reasons in TABS],
        remaining=remaining,
        screen=screen,
        no_answer_reasons=queue_decisions.reasons_for(screen.appeal) if screen else [],
        later=later,
        refusal=refusal,
        **blank | found,
    )
    if visit.request.method == "POST":
        # Keep the queue's address in the browser, without a new entry in its history.
        response.headers["HX-Replace-Url"] = quote(state.address(), safe="/?&=%+:")
    return response
