"""Working calendars: the hours and days by which deadlines are counted."""

from fastapi.responses import HTMLResponse, Response

from services.console.api_calls.client import ApiProblem, Content
from services.console.pages.calendars import calendar_changes
from services.console.pages.calendars.calendar_changes import PATH
from services.console.pages.calendars.working_hours import WEEKDAYS, written
from services.console.site.addresses import first_page, next_page
from services.console.site.downloads import download
from services.console.site.forms import entered_with_file
from services.console.site.page import NavigationLink, Page, Section, page_router
from services.console.site.visit import Visit, VisitDep
from shared import clock

router = page_router()
router.include_router(calendar_changes.router)
PAGE = Page(
    router,
    (
        NavigationLink(
            Section.REGISTRY, 40, "Производственные календари", PATH, rights=frozenset({"registry:read"})
        ),
    ),
    body_limits={PATH + "/{calendar_id}/file": 1024 * 1024},
)
_NO_FILE = "Выберите файл iCalendar (.ics)."
_BAD_FILE = (
    "Не получилось прочитать файл. Нужен iCalendar без повторяющихся событий: каждый день — отдельным событием."
)


@router.get(PATH)
async def show_calendars(visit: VisitDep) -> HTMLResponse:
    """Show all calendars."""
    cursor = visit.request.query_params.get("cursor")
    listed = await visit.api.get("/calendars", {"limit": 50, "cursor": cursor})
    return visit.render(
        "calendars/calendars.html",
        calendars=listed["items"],
        first=first_page(visit),
        after=next_page(visit, listed["next_cursor"]),
    )


@router.get(PATH + "/{calendar_id}")
async def show_calendar(visit: VisitDep, calendar_id: str) -> HTMLResponse:
    """Show the week of a calendar and its special days of one year."""
    return await _calendar_page(visit, calendar_id)


async def _calendar_page(visit: Visit, calendar_id: str, refusal: str = "", *, status: int = 200) -> HTMLResponse:
    answer = await visit.api.send("GET", f"{PATH}/{calendar_id}")
    calendar = answer.data
    base = await visit.api.get(f"{PATH}/{calendar['base_id']}") if calendar["base_id"] else None
    years = sorted({one["day"][:4] for one in calendar["days"]} | {str(clock.today().year)})
    asked = visit.request.query_params.get("year", "")
    year = asked if asked in years else str(clock.today().year)
    return visit.render(
        "calendars/calendar.html",
        status=status,
        calendar=calendar,
        version=answer.version,
        base=base,
        week=[(title, written(calendar["weekly"].get(key, ()))) for key, title in WEEKDAYS],
        years=years,
        year=year,
        days=[one | {"hours": written(one["intervals"])} for one in calendar["days"] if one["day"][:4] == year],
        refusal=refusal,
    )


@router.get(PATH + "/{calendar_id}/file")
async def export_days(visit: VisitDep, calendar_id: str) -> Response:
    """Return the special days as an iCalendar file for other programs."""
    return await download(visit, f"{PATH}/{calendar_id}/days.ics", "working-calendar.ics")


@router.post(PATH + "/{calendar_id}/file")
async def import_days(visit: VisitDep, calendar_id: str) -> Response:
    """Replace the calendar's own special days with those of a file, in all years that the file covers."""
    form, content = await entered_with_file(visit.request, "file")
    if not content:
        return await _calendar_page(visit, calendar_id, _NO_FILE, status=422)
    try:
        await visit.api.send(
            "PUT",
            f"{PATH}/{calendar_id}/days.ics",
            content=Content("text/calendar", content),
            version=form.get("version"),
        )
    except ApiProblem as problem:
        if problem.status not in {412, 422}:
            raise
        refusal = _BAD_FILE if problem.status == 422 else calendar_changes.CHANGED
        return await _calendar_page(visit, calendar_id, refusal, status=problem.status)
    return visit.redirect(f"{PATH}/{calendar_id}", note="Дни загружены. Сроки пересчитываются")
