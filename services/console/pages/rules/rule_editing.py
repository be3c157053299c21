"""Create the next version of a rule set: remove, add and change rules, then store the result as a draft."""

from typing import Any
from uuid import UUID

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response

from services.console.api_calls.client import ApiProblem
from services.console.choices.choices_by_name import Choice, chosen_organisation, organisation_names
from services.console.pages.rules.pending_changes import PendingChanges, pending_changes
from services.console.pages.rules.rule_form import RuleForm, blank_form, read_form, stored_form
from services.console.pages.rules.rule_refusals import set_faults
from services.console.pages.rules.rule_set_state import RuleSetState, default_fields, load_state, rule_table
from services.console.pages.rules.rule_words import rule_fields
from services.console.site.forms import whole_number
from services.console.site.visit import Visit, VisitDep
from services.console.words.refusals import explained

_NOTHING = "Вы ещё ничего не изменили."
_FULL = "За один раз можно изменить 30 правил. Создайте версию, затем продолжайте с ней."
router = APIRouter()


@router.get("/rules/{rule_set_id}/edit")
async def show_editor(visit: VisitDep, rule_set_id: UUID) -> HTMLResponse:
    """Show the pending changes, the form for a rule, and the rules of the set."""
    state = await _state(visit, rule_set_id)
    changed = visit.request.query_params.get("change")
    stored = next((rule for rule in state.rule_set["rules"] if rule["id"] == changed), None)
    form = stored_form(rule_fields(stored), state.words) if stored else blank_form()
    return _editor(visit, state, form)


# A refused form leaves the browser at one of these addresses.
@router.get("/rules/{rule_set_id}/edit/rules")
@router.get("/rules/{rule_set_id}/edit/default")
async def return_to_editor(visit: VisitDep, rule_set_id: UUID) -> Response:
    """Redirect to the editor with the same changes."""
    return visit.redirect(_path(rule_set_id) + _query(visit))


@router.post("/rules/{rule_set_id}/edit/steps")
async def take_step(visit: VisitDep, rule_set_id: UUID) -> Response:
    """Add or remove one pending change, and redirect to the editor."""
    form = await visit.request.form()
    changes = pending_changes(visit.request.query_params)
    path = _path(rule_set_id)
    if rule_id := str(form.get("change", "")):
        return visit.redirect(changes.address(path, *_filter(visit), ("change", rule_id)) + "#rule")
    if rule_id := str(form.get("without", "")):
        if changes.is_full:
            return visit.redirect(changes.address(path, *_filter(visit)), note=_FULL, kind="failed")
        changes = changes.leave_out(rule_id)
    elif rule_id := str(form.get("restore", "")):
        changes = changes.restore(rule_id)
    elif (number := whole_number(str(form.get("drop", "")))) is not None:
        changes = changes.drop(number)
    return visit.redirect(changes.address(path, *_filter(visit)))


@router.post("/rules/{rule_set_id}/edit/rules")
async def add_rule(visit: VisitDep, rule_set_id: UUID) -> Response:
    """Add the rule of the form to the changes, in place of the rule being changed, and redirect to the editor."""
    sent = await visit.request.form()
    form = await read_form(visit, sent)
    changes = pending_changes(visit.request.query_params)
    if changes.is_full:
        return visit.redirect(changes.address(_path(rule_set_id)), note=_FULL, kind="failed")
    if form.is_wrong:
        return _editor(visit, await _state(visit, rule_set_id), form, status=422)
    changes = changes.add(form.fields)
    if replaced := str(visit.request.query_params.get("change", "")):
        changes = changes.leave_out(replaced)
    return visit.redirect(changes.address(_path(rule_set_id), *_filter(visit)))


@router.post("/rules/{rule_set_id}/edit/default")
async def change_default(visit: VisitDep, rule_set_id: UUID) -> Response:
    """Set another default, and redirect to the editor."""
    sent = await visit.request.form()
    chosen = await chosen_organisation(visit.api, sent, "default_organisation")
    fields = {"send_to": str(sent.get("send_to", ""))}
    if fields["send_to"] == "organisation":
        if chosen.id is None:
            chosen.error = chosen.error or "Укажите организацию."
            state = await _state(visit, rule_set_id)
            return _editor(visit, state, blank_form(), status=422, default_organisation=chosen)
        fields["organisation_id"] = chosen.id
    changes = pending_changes(visit.request.query_params)
    changed = PendingChanges(changes.without, changes.added, fields)
    return visit.redirect(changed.address(_path(rule_set_id), *_filter(visit)))


@router.post("/rules/{rule_set_id}/edit")
async def create_version(visit: VisitDep, rule_set_id: UUID) -> Response:
    """Store the changed set as a draft."""
    form = await visit.request.form()
    state, changes = await _state(visit, rule_set_id), pending_changes(visit.request.query_params)
    if not changes:
        return _editor(visit, state, blank_form(), status=422, refusal=_NOTHING)
    rules = changes.rules_of(state.rule_set["rules"])
    body: dict[str, Any] = {
        "rules": [rule_fields(rule) for rule in rules],
        "default": changes.default or default_fields(state.rule_set),
        "note": str(form.get("note", "")).strip() or None,
    }
    try:
        answer = await visit.api.send("POST", "/rule-sets", body, key=str(form.get("key", "")))
    except ApiProblem as problem:
        if problem.status not in {409, 422}:
            raise
        faults = set_faults(problem, rules, state.words)
        refusal = "Такой набор создать нельзя:" if faults else explained(problem)
        return _editor(visit, state, blank_form(), status=problem.status, refusal=refusal, faults=faults)
    made = answer.data
    note = f"Набор № {made['number']} создан как черновик. Проверьте его и включите"
    return visit.redirect(f"/rules/{made['id']}/changes", note=note)


async def _state(visit: Visit, rule_set_id: UUID) -> RuleSetState:
    state = await load_state(visit, rule_set_id)
    named = pending_changes(visit.request.query_params).organisations() - set(state.words.organisations)
    state.words.organisations.update(await organisation_names(visit, named))
    return state


def _editor(
    visit: Visit,
    state: RuleSetState,
    form: RuleForm,
    *,
    status: int = 200,
    refusal: str = "",
    faults: list[str] | None = None,
    default_organisation: Choice | None = None,
) -> HTMLResponse:
    changes = pending_changes(visit.request.query_params)
    stored = {rule["id"]: rule_fields(rule) for rule in state.rule_set["rules"]}
    kept = [*changes.pairs(), *_filter(visit)]
    change = visit.request.query_params.get("change", "")
    return visit.render(
        "rules/editor.html",
        status=status,
        tab="edit",
        changes=changes,
        left_out=[(one, stored[one]) for one in changes.without if one in stored],
        form=form,
        changed=change if change in stored else "",
        table=rule_table(visit, state, without=changes.without),
        refusal=refusal,
        faults=faults or [],
        default_organisation=default_organisation or Choice("default_organisation"),
        action=lambda part="": _path(UUID(state.rule_set["id"])) + part + _query(visit),
        kept=[pair for pair in kept if pair[0] in {"without", "rule", "default"}],
        **state.shown(),
    )


def _path(rule_set_id: UUID) -> str:
    return f"/rules/{rule_set_id}/edit"


def _query(visit: Visit) -> str:
    return f"?{visit.request.url.query}" if visit.request.url.query else ""


def _filter(visit: Visit) -> list[tuple[str, str]]:
    query = visit.request.query_params
    return [(name, query[name]) for name in ("topic", "municipality", "q", "page") if query.get(name)]
