"""Topics by which messages are classified."""

from uuid import UUID

from fastapi.responses import HTMLResponse

from services.console.site.addresses import asked, first_page, next_page
from services.console.site.page import NavigationLink, Page, Section, page_router
from services.console.site.visit import VisitDep, together

PATH = "/topics"
router = page_router()
PAGE = Page(
    router,
    (
        NavigationLink(
            Section.REGISTRY, 80, "Темы", PATH, rights=frozenset({"rules:manage", "classifications:read"})
        ),
    ),
)


@router.get(PATH)
async def show_topics(visit: VisitDep) -> HTMLResponse:
    """Show the groups with their topics, or only the topics that match some words."""
    parameters = asked(visit, "q", "cursor")
    level = "all" if parameters["q"] else "group"
    listed = await visit.api.get("/topics", {"limit": 200, "level": level, **parameters})
    return visit.render(
        "topics/topics.html",
        topics=listed["items"],
        sought=visit.request.query_params.get("q", ""),
        before=first_page(visit),
        after=next_page(visit, listed.get("next_cursor")),
    )


@router.get(f"{PATH}/{{topic_id}}")
async def show_topic(visit: VisitDep, topic_id: UUID) -> HTMLResponse:
    """Show what a topic or topic group includes and excludes, its other names, and the topics of a group."""
    topic, within = await together(
        visit.api.get(f"/topics/{topic_id}"), visit.api.get("/topics", {"group_id": str(topic_id), "limit": 200})
    )
    return visit.render("topics/topic.html", topic=topic, within=within["items"])
