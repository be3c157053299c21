"""Enter the network token of a page."""

from fastapi.responses import HTMLResponse, Response

from services.console.api_calls.client import ApiProblem
from services.console.registry_forms.tokens import add_token, wrong_token
from services.console.site.forms import entered, refusal_of
from services.console.site.page import page_router
from services.console.site.visit import Visit, VisitDep

router = page_router()


@router.get("/pages/{page_id}/token")
async def show_token_form(visit: VisitDep, page_id: str) -> HTMLResponse:
    """Show the form for a token."""
    return await _form(visit, page_id)


@router.post("/pages/{page_id}/token")
async def save_token(visit: VisitDep, page_id: str) -> Response:
    """Store the token; the form never shows the entered value again."""
    form = await entered(visit.request)
    page = await visit.api.get(f"/pages/{page_id}")
    try:
        await add_token(visit, page["network"], page_id, form)
    except ApiProblem as problem:
        return await _form(visit, page_id, problem)
    return visit.redirect(f"/pages/{page_id}", note="Ключ сохранён, проверяем")


async def _form(visit: Visit, page_id: str, problem: ApiProblem | None = None) -> HTMLResponse:
    return visit.render(
        "official_pages/token.html",
        status=problem.status if problem else 200,
        page=await visit.api.get(f"/pages/{page_id}"),
        refusal=refusal_of(problem) if problem else "",
        wrong=wrong_token(problem) if problem else {},
    )
