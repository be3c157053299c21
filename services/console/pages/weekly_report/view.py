"""The weekly report: the list of weeks, and one week's report with links to the rows that its figures count."""

from typing import Any

from fastapi.responses import HTMLResponse, Response

from services.console.pages.weekly_report import report_charts
from services.console.pages.weekly_report.correction_names import correction_rows
from services.console.pages.weekly_report.measure_texts import AXES, measure_rows
from services.console.pages.weekly_report.row_lists import router as rows_router
from services.console.pages.weekly_report.week_names import known_week, shifted_week, week_name
from services.console.site.downloads import download
from services.console.site.page import NavigationLink, Page, Section, page_router
from services.console.site.visit import VisitDep
from shared import clock

PATH = "/reports"
router = page_router()
router.include_router(rows_router)
PAGE = Page(
    router,
    (NavigationLink(Section.REPORTS, 20, "Отчёты по неделям", PATH, rights=frozenset({"reports:read"}), key="w"),),
)
_PAGE_SIZE = 26
_GROUP_ROWS = 100


@router.get(PATH)
async def show_weeks(visit: VisitDep, cursor: str | None = None, week: str | None = None) -> Response:
    """Show the published reports, newest first; with a typed `week`, redirect to its report."""
    if week:
        return visit.redirect(f"{PATH}/{known_week(week.strip())}")
    listed = await visit.api.get("/reports/weekly", {"limit": _PAGE_SIZE, "cursor": cursor})
    weeks = listed["items"]
    return visit.render(
        "weekly_report/weeks.html",
        weeks=weeks,
        chart=report_charts.weeks_chart(weeks),
        current=week_name(clock.today()),
        after=f"{PATH}?cursor={listed['next_cursor']}" if listed["next_cursor"] else None,
        first=PATH if cursor else None,
    )


@router.get(PATH + "/weekly/{week}")
async def lead_to_report(visit: VisitDep, week: str) -> Response:
    """Redirect to the report: e-mails have its API path."""
    return visit.redirect(f"{PATH}/{known_week(week)}")


@router.get(PATH + "/{week}")
async def show_report(visit: VisitDep, week: str) -> HTMLResponse:
    """Show the report of a week as published or, before publication, by today's data."""
    answer = await visit.api.get(f"/reports/weekly/{known_week(week)}")
    report = answer["report"]
    definitions = {definition["code"]: definition for definition in report["definitions"]}
    return visit.render(
        "weekly_report/report.html",
        answer=answer,
        report=report,
        week=week,
        before=shifted_week(week, -1),
        after=None if report["last_day"] >= clock.today().isoformat() else shifted_week(week, 1),
        corrections=correction_rows(answer),
        axes=[(axis["title"], measure_rows(axis, definitions)) for axis in report["axes"]],
        axis_names=AXES,
        charts_of=report_charts.report_charts(report),
        deleting=_deleting(report),
        lights=report_charts.LIGHTS,
    )


@router.get(PATH + "/{week}/organisations")
async def show_organisations(visit: VisitDep, week: str) -> Response:
    """Show a peer group: its organisations with their figures and ranks."""
    asked = visit.request.query_params
    groups = (await visit.api.get(f"/reports/weekly/{known_week(week)}"))["report"]["peer_groups"]
    group = next((one for one in groups if one["code"] == asked.get("group")), groups[0] if groups else None)
    if group is None:
        return visit.redirect(f"{PATH}/{week}")
    return visit.render(
        "weekly_report/group.html",
        week=week,
        groups=groups,
        group=group,
        shown_rows=len(group["organisations"]) if asked.get("all") else _GROUP_ROWS,
    )


@router.get(PATH + "/{week}/report.pdf")
@router.get(PATH + "/{week}/report.xlsx")
@router.get(PATH + "/{week}/report.html")
@router.get(PATH + "/{week}/report.json")
async def download_report(visit: VisitDep, week: str) -> Response:
    """Return the report as a file from the API."""
    kind = visit.request.url.path.rpartition(".")[2]
    return await download(visit, f"/reports/weekly/{known_week(week)}.{kind}", f"weekly-report-{week}.{kind}")


def _deleting(report: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the organisations that deleted questions or closed appeals without an answer, worst first."""
    rows = [row for group in report["peer_groups"] for row in group["organisations"]]
    found = [row for row in rows if row["deleted"] or row["closed_unanswered"]]
    return sorted(found, key=lambda row: (-row["deleted"], -row["closed_unanswered"]))
