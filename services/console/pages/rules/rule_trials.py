"""Try a rule set without any effect: on one message, and on past appeals."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from services.console.api_calls.client import ApiProblem
from services.console.choices.choices_by_name import Choice, chosen_topic
from services.console.choices.page_names import page_id_at
from services.console.pages.rules.rule_set_state import RuleSetState, load_state
from services.console.pages.rules.rule_words import named_in, rule_fields
from services.console.site.visit import Visit, VisitDep
from services.console.words.refusals import explained
from shared import clock

PERIODS = (7, 30, 90)
_NO_PAGE = "Такой страницы в реестре нет. Вставьте адрес страницы, которая подключена."
_NOTHING = "Введите текст сообщения или выберите тему и место."
_BENCH_FIELDS = ("text", "kind", "post_context", "municipality", "settlement", "urgency")
router = APIRouter()


@router.get("/rules/{rule_set_id}/bench")
async def show_bench(visit: VisitDep, rule_set_id: UUID) -> HTMLResponse:
    """Show the form for trying the rules on a message."""
    return _bench(visit, await load_state(visit, rule_set_id), {})


@router.post("/rules/{rule_set_id}/bench")
async def try_message(visit: VisitDep, rule_set_id: UUID) -> HTMLResponse:
    """Show where a message would go. The text is sent by POST, because addresses are logged and kept in the
    history.
    """
    state = await load_state(visit, rule_set_id)
    form = {name: str(value).strip() for name, value in (await visit.request.form()).items()}
    body: dict[str, Any] = {name: form[name] for name in _BENCH_FIELDS if form.get(name)}
    topic = chosen_topic(state.words.topics, form)
    if topic.error:
        return _bench(visit, state, form, topic=topic)
    if topic.id:
        body["topic_id"] = topic.id
    if not body.keys() - {"kind", "post_context"}:
        return _bench(visit, state, form, error=_NOTHING)
    if form.get("page"):
        page_id = await page_id_at(visit, form["page"])
        if page_id is None:
            return _bench(visit, state, form, page_error=_NO_PAGE, topic=topic)
        body["page_id"] = page_id
    try:
        answer = await visit.api.send("POST", f"/rule-sets/{rule_set_id}/preview", body)
    except ApiProblem as problem:
        if problem.status != 422:
            raise
        return _bench(visit, state, form, error=_explained(problem), topic=topic)
    return _bench(visit, state, form, outcome=answer.data, topic=topic)


def _explained(problem: ApiProblem) -> str:
    if "/settlement" in problem.fields:
        return "Такого населённого пункта в этом муниципалитете нет."
    return explained(problem)


def _bench(
    visit: Visit,
    state: RuleSetState,
    form: Mapping[str, str],
    *,
    outcome: dict[str, Any] | None = None,
    error: str = "",
    page_error: str = "",
    topic: Choice | None = None,
) -> HTMLResponse:
    topic = topic or Choice("topic")
    matching = []
    if outcome is not None:
        state.words.organisations.update(named_in(outcome["matching_rules"]))
        matching = [(rule, rule_fields(rule)) for rule in outcome["matching_rules"]]
    return visit.render(
        "rules/bench.html",
        status=422 if error or page_error or topic.error else 200,
        tab="bench",
        form=form,
        outcome=outcome,
        matching=matching,
        error=error,
        page_error=page_error,
        topic=topic,
        **state.shown(),
    )


@router.get("/rules/{rule_set_id}/dry-run")
async def show_dry_run(
    visit: VisitDep, rule_set_id: UUID, days: int | None = None, untouched: bool = False
) -> HTMLResponse:
    """Show what the set would do with appeals of a period or with untouched ones, if the address selects some."""
    state = await load_state(visit, rule_set_id)
    outcome = None
    if days in PERIODS or untouched:
        outcome = await dry_run(visit, rule_set_id, days=None if untouched else days)
    return visit.render(
        "rules/dry_run.html",
        tab="dry-run",
        days=days,
        untouched=untouched,
        periods=PERIODS,
        outcome=outcome,
        **state.shown(),
    )


async def dry_run(visit: Visit, rule_set_id: UUID, *, days: int | None) -> dict[str, Any]:
    """Return the outcome for the appeals of the last `days`; with None, for appeals that nobody has moved or
    started.
    """
    body: dict[str, Any] = {"only_untouched": True}
    if days is not None:
        body = {"from": (clock.now() - timedelta(days=days)).isoformat()}
    answer = await visit.api.send("POST", f"/rule-sets/{rule_set_id}/dry-run", body)
    outcome: dict[str, Any] = answer.data
    return outcome
