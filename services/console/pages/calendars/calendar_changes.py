"""Create a calendar; change its week and its special days."""

from collections.abc import Mapping
from typing import Any

from fastapi.responses import HTMLResponse, Response

from services.console.api_calls.client import Answer, ApiProblem
from services.console.pages.calendars.working_hours import (
    WEEKDAYS,
    NotHours,
    parse_hours,
    parse_week,
    shown_week,
)
from services.console.site.forms import changed_meanwhile, entered, refusal_of, wrong_fields
from services.console.site.page import page_router
from services.console.site.visit import Visit, VisitDep

PATH = "/calendars"
CHANGED = "Пока вы работали, календарь изменил коллега. Проверьте, что получилось, и повторите."
router = page_router()
_WRONG = {
    "name": "Введите название.",
    "weekly": "В неделе должно быть не меньше пяти рабочих часов; часы дня идут по порядку и не пересекаются.",
    "day": "Введите день.",
    "days": "Часы дня идут по порядку и не пересекаются; у дня есть название.",
    "title": "Введите, что это за день.",
}
_HOURS = "Напишите часы так: 09:00–13:00, 14:00–18:00."


@router.get("/calendars-new")
async def show_new_calendar(visit: VisitDep) -> HTMLResponse:
    """Show an empty form with the week of the region's calendar."""
    calendars = (await visit.api.get(PATH, {"limit": 100}))["items"]
    weekly: Mapping[str, Any] = next((one["weekly"] for one in calendars if one["is_default"]), {})
    return _form(visit, shown_week(weekly))


@router.post("/calendars-new")
async def create_calendar(visit: VisitDep) -> Response:
    """Create a calendar based on the region's."""
    form = await entered(visit.request)
    week, wrong = parse_week(form)
    if wrong:
        return _form(visit, form, wrong=wrong, status=422)
    body = {"name": form.get("name", ""), "weekly": week}
    try:
        made = await visit.api.send("POST", PATH, body, key=form.get("key"))
    except ApiProblem as problem:
        return _refused(visit, form, problem)
    note = "Календарь заведён. Выберите его в форме организации"
    return visit.redirect(f"{PATH}/{made.data['id']}", note=note)


@router.get(PATH + "/{calendar_id}/edit")
async def show_calendar_form(visit: VisitDep, calendar_id: str) -> HTMLResponse:
    """Show the form with the calendar's name and week."""
    answer = await visit.api.send("GET", f"{PATH}/{calendar_id}")
    return _form(visit, _values(answer), answer.data)


@router.post(PATH + "/{calendar_id}/edit")
async def change_calendar(visit: VisitDep, calendar_id: str) -> Response:
    """Change the name and the week, unless somebody has changed them since the form was shown."""
    form = await entered(visit.request)
    week, wrong = parse_week(form)
    calendar = await visit.api.get(f"{PATH}/{calendar_id}")
    if wrong:
        return _form(visit, form, calendar, wrong=wrong, status=422)
    body = {"name": form.get("name", ""), "weekly": week}
    try:
        await visit.api.send("PATCH", f"{PATH}/{calendar_id}", body, version=form.get("version"))
    except ApiProblem as problem:
        if problem.status != 412:
            return _refused(visit, form, problem, calendar)
        current = _values(await visit.api.send("GET", f"{PATH}/{calendar_id}"))
        again = form | {"version": current["version"]}
        wrong = changed_meanwhile(current, form)
        return _form(visit, again, calendar, refusal=CHANGED, wrong=wrong, status=problem.status)
    return visit.redirect(f"{PATH}/{calendar_id}", note="Календарь изменён. Сроки пересчитываются")


@router.get(PATH + "/{calendar_id}/days-new")
async def show_day_form(visit: VisitDep, calendar_id: str, day: str = "") -> HTMLResponse:
    """Show the form of a special day, filled with the day's present values."""
    answer = await visit.api.send("GET", f"{PATH}/{calendar_id}")
    known = next((one for one in answer.data["days"] if one["day"] == day), None)
    values = {"day": day, "version": answer.version}
    if known:
        values |= {"title": known["title"], "hours": ", ".join(f"{a}–{b}" for a, b in known["intervals"])}
    return _day_form(visit, answer.data, values)


@router.post(PATH + "/{calendar_id}/days-new")
async def set_day(visit: VisitDep, calendar_id: str) -> Response:
    """Set one special day; other days do not change."""
    form = await entered(visit.request)
    day = form.get("day", "")
    calendar = await visit.api.get(f"{PATH}/{calendar_id}")
    try:
        special = {"day": day, "intervals": parse_hours(form.get("hours", "")), "title": form.get("title", "")}
        await _replace(visit, calendar_id, form, [special])
    except NotHours:
        return _day_form(visit, calendar, form, wrong={"hours": _HOURS}, status=422)
    except ApiProblem as problem:
        refusal = refusal_of(problem)
        wrong = wrong_fields(problem, _WRONG)
        if problem.status == 412:
            form["version"] = (await visit.api.send("GET", f"{PATH}/{calendar_id}")).version
        return _day_form(visit, calendar, form, refusal=refusal, wrong=wrong, status=problem.status)
    return visit.redirect(f"{PATH}/{calendar_id}?year={day[:4]}", note="День записан. Сроки пересчитываются")


@router.post(PATH + "/{calendar_id}/days/{day}/remove")
async def remove_day(visit: VisitDep, calendar_id: str, day: str) -> Response:
    """Remove a special day: the base calendar and the week apply to it again."""
    form = await entered(visit.request)
    address = f"{PATH}/{calendar_id}?year={day[:4]}"
    try:
        await _replace(visit, calendar_id, form | {"day": day}, [])
    except ApiProblem as problem:
        if problem.status != 412:
            raise
        return visit.redirect(address, note=CHANGED, kind="failed")
    return visit.redirect(address, note="День убран. Сроки пересчитываются")


async def _replace(visit: Visit, calendar_id: str, form: Mapping[str, str], days: list[dict[str, Any]]) -> None:
    day = form.get("day", "")
    body = {"start": day, "end": day, "days": days}
    await visit.api.send("PUT", f"{PATH}/{calendar_id}/days", body, version=form.get("version"))


def _values(answer: Answer) -> dict[str, str]:
    calendar = answer.data
    return shown_week(calendar["weekly"]) | {"name": calendar["name"], "version": answer.version}


def _refused(
    visit: Visit, form: Mapping[str, str], problem: ApiProblem, calendar: Mapping[str, Any] | None = None
) -> HTMLResponse:
    refusal, wrong = refusal_of(problem), wrong_fields(problem, _WRONG)
    return _form(visit, form, calendar, refusal=refusal, wrong=wrong, status=problem.status)


def _form(
    visit: Visit, values: Mapping[str, str], calendar: Mapping[str, Any] | None = None, *, refusal: str = "",
    wrong: Mapping[str, str] | None = None, status: int = 200,
) -> HTMLResponse:  # fmt: skip
    return visit.render(
        "calendars/edit.html",
        status=status,
        calendar=calendar,
        values=values,
        weekdays=WEEKDAYS,
        refusal=refusal,
        wrong=wrong or {},
    )


def _day_form(
    visit: Visit, calendar: Mapping[str, Any], values: Mapping[str, str], *, refusal: str = "",
    wrong: Mapping[str, str] | None = None, status: int = 200,
) -> HTMLResponse:  # fmt: skip
    return visit.render(
        "calendars/day.html", status=status, calendar=calendar, values=values, refusal=refusal, wrong=wrong or {}
    )
