"""The audit trail: who changed what, and who read the texts of citizens."""

from datetime import date, timedelta
from typing import Any

from fastapi.responses import HTMLResponse

from services.console.choices.choices_by_name import Choice, chosen_organisation
from services.console.pages.audit.audit_rows import actor_names
from services.console.pages.audit.audit_words import (
    ACTIONS,
    READ_ACTIONS,
    SUBJECTS,
    action_words,
    subject_path,
)
from services.console.pages.audit.field_words import changed_fields
from services.console.site.addresses import asked, first_page, next_page, with_query
from services.console.site.forms import start_of_day
from services.console.site.page import NavigationLink, Page, Section, page_router
from services.console.site.visit import Visit, VisitDep

PATH = "/audit"
router = page_router()
PAGE = Page(
    router, (NavigationLink(Section.SYSTEM, 60, "Журнал", PATH, rights=frozenset({"audit:read"}), key="l"),)
)


@router.get(PATH)
async def show_changes(visit: VisitDep) -> HTMLResponse:
    """Show the changes, with who made each."""
    if not visit.may("audit:read"):
        return visit.render("audit/closed.html")
    organisation = await _organisation(visit)
    exact = asked(visit, "actor", "action", "subject_id", "cursor")
    listed = await visit.api.get(
        PATH, {"limit": 30, **exact, **_period(visit), "organisation_id": organisation.id}
    )
    entries = listed["items"]
    return visit.render(
        "audit/changes.html",
        tab="changes",
        entries=entries,
        names=await actor_names(visit, [who for one in entries for who in (one["actor"], one["on_behalf_of"])]),
        changed_fields=changed_fields,
        subjects=SUBJECTS,
        subject_path=subject_path,
        **_shown(visit, listed, organisation, ACTIONS),
    )


@router.get(f"{PATH}/reads")
async def show_reads(visit: VisitDep) -> HTMLResponse:
    """Show who read or exported the texts of citizens."""
    if not visit.may("audit:read"):
        return visit.render("audit/closed.html")
    organisation = await _organisation(visit)
    exact = asked(visit, "actor", "action", "subject_id", "author_key", "cursor")
    listed = await visit.api.get(
        f"{PATH}/personal-data-reads",
        {"limit": 50, **exact, **_period(visit), "organisation_id": organisation.id},
    )
    return visit.render(
        "audit/reads.html",
        tab="reads",
        reads=listed["items"],
        **_shown(visit, listed, organisation, READ_ACTIONS),
    )


def _shown(visit: Visit, listed: dict[str, Any], organisation: Choice, actions: dict[str, str]) -> dict[str, Any]:
    query = visit.request.query_params
    return {
        "query": query,
        "organisation": organisation,
        "actions": sorted(actions.items(), key=lambda pair: pair[1]),
        "action_words": action_words,
        "only": lambda **changes: with_query(visit, cursor=None, **changes),
        "narrowed": [name for name in ("actor", "subject_id") if query.get(name)],
        "before": first_page(visit),
        "after": next_page(visit, listed.get("next_cursor")),
    }


async def _organisation(visit: Visit) -> Choice:
    return await chosen_organisation(visit.api, visit.request.query_params, "organisation")


def _period(visit: Visit) -> dict[str, str | None]:
    """Return the period of the address as two moments; its last day is included."""
    query = visit.request.query_params
    return {"from": _day_start(query.get("from", "")), "to": _day_start(query.get("to", ""), days=1)}


def _day_start(day: str, *, days: int = 0) -> str | None:
    """Return the moment at which a day, moved by `days`, begins; None if the text is not a date."""
    try:
        return start_of_day((date.fromisoformat(day) + timedelta(days=days)).isoformat())
    except (ValueError, OverflowError):
        return None
