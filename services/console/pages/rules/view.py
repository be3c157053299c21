"""Rule sets, which decide the organisation of an appeal; their versions and differences."""

from uuid import UUID

from fastapi.responses import HTMLResponse

from services.console.pages.rules import rule_activation, rule_editing, rule_trials
from services.console.pages.rules.rule_differences import differences
from services.console.pages.rules.rule_set_state import load_state, rule_table
from services.console.pages.rules.rule_words import load_words, named_in
from services.console.site.addresses import asked, first_page, next_page
from services.console.site.page import NavigationLink, Page, Section, page_router
from services.console.site.visit import VisitDep, together

PATH = "/rules"
router = page_router()
PAGE = Page(
    router,
    (
        NavigationLink(
            Section.SYSTEM, 10, "Правила маршрутизации", PATH, rights=frozenset({"rules:manage"}), key="m"
        ),
    ),
)


@router.get(PATH)
async def show_rule_sets(visit: VisitDep) -> HTMLResponse:
    """Show the active rule set and all versions."""
    active, listed = await together(
        visit.api.get("/rule-sets", {"status": "active", "limit": 1}),
        visit.api.get("/rule-sets", {"limit": 30, **asked(visit, "cursor")}),
    )
    words = await load_words(visit, named_in(one["default"] for one in [*active["items"], *listed["items"]]))
    return visit.render(
        "rules/rule_sets.html",
        active=active["items"][0],
        rule_sets=listed["items"],
        words=words,
        before=first_page(visit),
        after=next_page(visit, listed.get("next_cursor")),
    )


@router.get(f"{PATH}/{{rule_set_id}}")
async def show_rule_set(visit: VisitDep, rule_set_id: UUID) -> HTMLResponse:
    """Show the rules of a set."""
    state = await load_state(visit, rule_set_id)
    return visit.render("rules/rule_set.html", tab="rules", table=rule_table(visit, state), **state.shown())


@router.get(f"{PATH}/{{rule_set_id}}/changes")
async def show_changes(visit: VisitDep, rule_set_id: UUID) -> HTMLResponse:
    """Show the differences between this set and the active one."""
    state, changes = await together(
        load_state(visit, rule_set_id), visit.api.get(f"/rule-sets/{rule_set_id}/changes")
    )
    return visit.render(
        "rules/changes.html", tab="changes", differences=differences(changes, state.words), **state.shown()
    )


for part in (rule_editing, rule_trials, rule_activation):
    router.include_router(part.router)
