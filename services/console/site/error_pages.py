"""Error pages: signed out, refused, not found, unavailable."""

import re
from urllib.parse import quote

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import get_contextvars

from services.console.api_calls.client import ApiProblem, ApiUnavailable, NoSuchPath, SignedOut
from services.console.browser_sessions.session_store import SESSION_COOKIE
from services.console.browser_sessions.token_endpoint import EndpointUnavailable
from services.console.site.kept_form import OF_THE_GATEWAY, SIGNED_OUT, is_part, kept_entries
from services.console.site.rendering import render
from services.console.site.return_addresses import return_address
from services.console.site.site import TooManyFiles
from services.console.words.refusals import UNAVAILABLE, explained, explained_status
from shared.http.problems import Problem
from shared.logs import get_logger

log = get_logger(__name__)
SIGN_IN = "/sign-in"
_NOT_FOUND = "Такой страницы нет. Возможно, адрес набран с ошибкой."
_TOO_MANY_FILES = "У вас уже скачиваются два файла. Дождитесь, пока один из них будет готов, и повторите."
FOREIGN = "Изменить что-либо можно только со страниц самой системы."
# Parts of pages that only show the progress of a job: nobody writes on these pages.
_PROGRESS = re.compile(r"/bulk/[^/]+/progress|/exports/state")
# Requests of timers on the pages of an appeal and of its reply, where people may be writing.
_TIMERS = re.compile(r"/appeals/[^/]+/(?:presence|read|reply/lease)")
_WRONG_ADDRESS = "Адрес страницы составлен неверно: проверьте отборы и повторите."


def error_page(request: Request, status: int, text: str, *, request_id: str | None = None) -> HTMLResponse:
    """Return a page that says what happened and what to do; for htmx, only its content."""
    swap = "hx-request" in request.headers and "hx-history-restore-request" not in request.headers
    html = render(
        "error.html",
        layout="bare_swap.html" if swap else "bare.html",
        status=status,
        text=text,
        request_id=request_id,
    )
    return HTMLResponse(html, status_code=OF_THE_GATEWAY.get(status, status))


def to_sign_in(request: Request) -> Response:
    """Return a redirect to the sign-in form, which leads back to the requested page."""
    shown = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    back = return_address(shown) if request.method == "GET" else "/"
    target = f"{SIGN_IN}?next={quote(back)}" if back != "/" else SIGN_IN
    if "hx-request" in request.headers:
        return Response(status_code=204, headers={"HX-Redirect": target})
    return RedirectResponse(target, status_code=303)


def _comes_by_itself(request: Request) -> bool:
    """Return whether a timer or a field sent the request, on a page where somebody may be writing."""
    path = request.url.path
    if request.method == "GET":
        return is_part(request) and not _PROGRESS.fullmatch(path)
    return is_part(request) and _TIMERS.fullmatch(path) is not None


def install(app: FastAPI) -> None:
    """Add the console's exception handlers: people get pages instead of problem documents."""

    @app.exception_handler(SignedOut)
    async def signed_out(request: Request, error: SignedOut) -> Response:
        if _comes_by_itself(request):
            # A redirect would lose what is being written on the page.
            return Response(status_code=204)
        if (kept := await kept_entries(request, SIGNED_OUT, 401)) is not None:
            return kept
        response = to_sign_in(request)
        if SESSION_COOKIE in request.cookies:
            response.delete_cookie(SESSION_COOKIE, secure=True, httponly=True, samesite="lax")
        return response

    @app.exception_handler(ApiProblem)
    async def refused(request: Request, problem: ApiProblem) -> Response:
        if (
            problem.status == 422
            and request.method == "GET"
            and any(one.startswith("path/") for one in problem.fields)
        ):
            return error_page(request, 404, _NOT_FOUND)
        text, request_id = explained(problem), problem.request_id
        kept = await kept_entries(request, text, problem.status, request_id=request_id)
        return kept or error_page(request, problem.status, text, request_id=request_id)

    @app.exception_handler(ApiUnavailable)
    @app.exception_handler(EndpointUnavailable)
    async def unavailable(request: Request, error: Exception) -> Response:
        log.warning("api unavailable", reason=str(error)[:300])
        return await kept_entries(request, UNAVAILABLE, 503) or error_page(request, 503, UNAVAILABLE)

    @app.exception_handler(NoSuchPath)
    async def no_such_path(request: Request, error: NoSuchPath) -> Response:
        return error_page(request, 404, _NOT_FOUND)

    @app.exception_handler(TooManyFiles)
    async def too_many_files(request: Request, error: TooManyFiles) -> Response:
        return error_page(request, 429, _TOO_MANY_FILES)

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        return error_page(request, error.status_code, _NOT_FOUND)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        if any(one["loc"][0] == "path" for one in error.errors()):
            return error_page(request, 404, _NOT_FOUND)
        kept = await kept_entries(request, explained_status(422), 422)
        return kept or error_page(request, 422, _WRONG_ADDRESS)

    @app.exception_handler(Problem)
    async def problem(request: Request, error: Problem) -> Response:
        return error_page(request, error.status, FOREIGN if error.status == 403 else _WRONG_ADDRESS)


class ProblemPages:
    """ASGI middleware: replaces problem documents that come from outside the routes with error pages.

    Such responses are unexpected errors, an unavailable database, and requests that are too large or have NUL
    characters.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Replace a problem document completely; other responses are not changed."""
        replaced = False

        async def as_page(message: Message) -> None:
            nonlocal replaced
            if message["type"] == "http.response.start":
                headers = Headers(raw=message["headers"])
                replaced = headers.get("content-type", "").startswith("application/problem+json")
                if replaced:
                    status = message["status"]
                    request_id = get_contextvars().get("request_id")
                    page = error_page(Request(scope), status, explained_status(status), request_id=request_id)
                    page.headers.update({name: headers[name] for name in headers if name not in page.headers})
                    await page(scope, receive, send)
            if not replaced:
                await send(message)

        await self.app(scope, receive, as_page)
