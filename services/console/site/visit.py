"""A request of a signed-in person: the API with the person's token, and rendering of pages."""

import asyncio
import json
import secrets
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Annotated, Any
from urllib.parse import quote, unquote

from fastapi import Depends, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from services.console.api_calls.client import Api, ApiProblem, SignedOut
from services.console.browser_sessions.session_store import SESSION_COOKIE
from services.console.site.page import NavigationLink, Section
from services.console.site.rendering import render
from services.console.site.return_addresses import local_path
from services.console.site.site import Site, get_site

NOTE_COOKIE = "__Host-gospablik-note"
_NOTE_SECONDS = 60


class Visit:
    """A request of a signed-in person."""

    def __init__(self, request: Request, site: Site, api: Api, me: dict[str, Any]) -> None:
        self.request = request
        self.api = api
        self.me = me
        self._site = site

    @property
    def rights(self) -> list[str]:
        """Return the person's rights."""
        rights: list[str] = self.me["rights"]
        return rights

    def may(self, right: str) -> bool:
        """Return whether the person has the right."""
        return right in self.rights

    def require(self, right: str) -> None:
        """Raise `ApiProblem` with status 403, as the API would, if the person lacks the right."""
        if not self.may(right):
            raise ApiProblem(403, {}, {})

    def file(self) -> AbstractContextManager[None]:
        """Count a download of the person until the block ends. Raises `TooManyFiles` if there are too many."""
        return self._site.file_of(str(self.me["person"]["id"]))

    @property
    def is_swap(self) -> bool:
        """Return whether htmx requests only the content of the page."""
        headers = self.request.headers
        return "hx-request" in headers and "hx-history-restore-request" not in headers

    def render(
        self, template: str, *, status: int = 200, note: Mapping[str, Any] | None = None, **values: Any
    ) -> HTMLResponse:
        """Return a page; for htmx, only the part that differs between pages.

        `note` (`text`, `kind`, `undo`) is shown instead of the note that `redirect` stored.
        """
        note = note or self._taken_note()
        html = render(
            template,
            layout="swap.html" if self.is_swap else "layout.html",
            visit=self,
            me=self.me,
            note=note,
            navigation=self._navigation(),
            new_key=new_key,
            **values,
        )
        response = HTMLResponse(html, status_code=status)
        if note is not None:
            response.delete_cookie(NOTE_COOKIE, secure=True, httponly=True, samesite="lax")
        return response

    def fragment(self, template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
        """Return a fragment of a page, which htmx inserts."""
        html = render(template, visit=self, me=self.me, new_key=new_key, **values)
        return HTMLResponse(html, status_code=status)

    def redirect(
        self, path: str, *, note: str | None = None, kind: str = "done", undo: Mapping[str, str] | None = None
    ) -> Response:
        """Redirect to another page after a change; that page shows `note`, which says what was done.

        `kind` is `done` or `failed`. `undo` has the `path` and `label` of a form that undoes the change.
        """
        response = RedirectResponse(path, status_code=303)
        if note is not None:
            content = quote(json.dumps({"text": note, "kind": kind, "undo": dict(undo) if undo else None}))
            response.set_cookie(
                NOTE_COOKIE, content, max_age=_NOTE_SECONDS, secure=True, httponly=True, samesite="lax"
            )
        return response

    def _taken_note(self) -> dict[str, Any] | None:
        try:
            note = json.loads(unquote(self.request.cookies[NOTE_COOKIE]))
            undo = note["undo"]
            if undo is not None:
                undo = {"path": local_path(str(undo["path"])), "label": str(undo.get("label") or "")}
            return {"text": str(note["text"]), "kind": str(note["kind"]), "undo": undo}
        except (KeyError, ValueError, TypeError, AttributeError, RecursionError):
            return None

    def _navigation(self) -> list[tuple[Section, list[NavigationLink]]]:
        sections: dict[Section, list[NavigationLink]] = {}
        for link in self._site.links:
            if link.is_shown_to(self.rights):
                sections.setdefault(link.section, []).append(link)
        return list(sections.items())

    @property
    def first_path(self) -> str:
        """Return the path of the first link in the section `WORK`, otherwise in `SYSTEM`; otherwise `/account`."""
        sections = dict(self._navigation())
        links = sections.get(Section.WORK) or sections.get(Section.SYSTEM)
        return links[0].path if links else "/account"

    def is_current(self, link: NavigationLink) -> bool:
        """Return whether the link leads to the shown page, or to a page above it."""
        path = self.request.url.path
        return path == link.path or path.startswith(link.path.rstrip("/") + "/")


def new_key() -> str:
    """Return an idempotency key for a form: the API executes requests with the same key only once."""
    return secrets.token_urlsafe(16)


async def _visit(request: Request) -> Visit:
    site = get_site(request)
    secret = request.cookies.get(SESSION_COOKIE)
    if not secret:
        raise SignedOut

    held: str | None = None

    async def token(refused: str | None) -> str | None:
        nonlocal held
        if held is None or refused is not None:
            held = await site.sessions.access_token(secret, refused)
        return held

    api = site.new_api(token, request.scope["route"].path)
    return Visit(request, site, api, await api.get("/me"))


async def _visit_if_signed_in(request: Request) -> Visit | None:
    try:
        return await _visit(request)
    except SignedOut:
        return None


VisitDep = Annotated[Visit, Depends(_visit)]
# None if the session has ended: for forms whose text must not be lost.
OptionalVisitDep = Annotated[Visit | None, Depends(_visit_if_signed_in)]


async def together(*calls: Any) -> list[Any]:
    """Return the results of several API calls, made concurrently; the first error is raised."""
    return list(await asyncio.gather(*calls))
