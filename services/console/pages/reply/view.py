"""Write an answer to an appeal: draft, checks, edit lease, photos, submission, and the state of a sent reply."""

from fastapi import Request
from fastapi.responses import HTMLResponse, Response
from starlette.datastructures import FormData

from services.console.api_calls.client import ApiProblem, ApiUnavailable, SignedOut
from services.console.pages.reply import published_reply
from services.console.pages.reply.entered_reply import EnteredReply
from services.console.pages.reply.reply_changes import CHANGES, store
from services.console.pages.reply.reply_screen import (
    APPROVERS,
    conflict_with,
    field_errors,
    following,
    hints_for,
    lease_of,
    lease_values,
    outcome_of,
    page_path,
    refusal_text,
    show_reply,
    under_way,
)
from services.console.site.downloads import photo
from services.console.site.kept_form import file_name
from services.console.site.page import Page, page_router
from services.console.site.rendering import render
from services.console.site.visit import OptionalVisitDep, Visit, VisitDep
from services.console.words.refusals import UNAVAILABLE

PATH = "/appeals/{appeal_id}/reply"
router = page_router()
router.include_router(published_reply.router)
# A photo of at most 20 MiB, and the text.
_WITH_PHOTO = 21 * 1024 * 1024
PAGE = Page(router, body_limits={PATH: _WITH_PHOTO, published_reply.PATH: _WITH_PHOTO})
_SIGNED_OUT = (
    "Сессия закончилась, поэтому ничего не сохранено. Ваш текст на месте: войдите и сохраните его ещё раз."
)
_TOO_LONG = "Ответ длиннее 20 000 знаков, поэтому ничего не сохранено. Сократите его и сохраните ещё раз."
_SHOWN = frozenset({409, 412, 422})


@router.get(PATH)
async def show(visit: VisitDep, appeal_id: str) -> HTMLResponse:
    """Show the citizen's messages and the draft, or the state of the sent reply."""
    return await show_reply(visit, appeal_id)


@router.post(PATH)
async def change(request: Request, visit: OptionalVisitDep, appeal_id: str) -> Response:
    """Run the action of the pressed button. After any error the response still contains the entered text."""
    async with request.form(max_files=1) as form:
        entered = EnteredReply.from_form(form)
        if entered.is_too_long:
            return _kept(request, appeal_id, form, _TOO_LONG, 422)
        return await _changed(request, visit, appeal_id, entered, form)


async def _changed(
    request: Request, visit: Visit | None, appeal_id: str, entered: EnteredReply, form: FormData
) -> Response:
    if visit is None:
        return _kept(request, appeal_id, form, _SIGNED_OUT, 401)
    try:
        do = "remove_photo" if "photo_removed" in form else str(form.get("do", ""))
        work = CHANGES.get(do, CHANGES["save"])
        try:
            return await work(visit, appeal_id, entered, form)
        except ApiProblem as problem:
            if problem.status not in _SHOWN:
                raise
            return await show_reply(visit, appeal_id, entered=entered, problem=problem)
    except SignedOut:
        return _kept(request, appeal_id, form, _SIGNED_OUT, 401)
    except ApiUnavailable:
        return _kept(request, appeal_id, form, UNAVAILABLE, 503)
    except ApiProblem as problem:
        return _kept(request, appeal_id, form, refusal_text(problem), problem.status)


def _kept(request: Request, appeal_id: str, form: FormData, refusal: str, status: int) -> HTMLResponse:
    """Return a form with the entered text, to be sent again; it is rendered without API calls."""
    layout = "bare_swap.html" if "hx-request" in request.headers else "bare.html"
    html = render(
        "reply/kept.html",
        layout=layout,
        appeal_id=appeal_id,
        form=EnteredReply.from_form(form),
        lost_photo=file_name(form.get("photo")),
        refusal=refusal,
        signed_out=status == 401,
    )
    return HTMLResponse(html, status_code=status)


@router.post(PATH + "/autosave")
async def autosave(request: Request, visit: OptionalVisitDep, appeal_id: str) -> HTMLResponse:
    """Save the draft while it is being written, and return the hints as a fragment; the text field is not
    replaced.
    """
    entered = EnteredReply.from_form(await request.form(max_files=0))
    if visit is None:
        return _not_saved(appeal_id, entered, _SIGNED_OUT, signed_out=True)
    if entered.is_too_long:
        return _not_saved(appeal_id, entered, _TOO_LONG)
    try:
        return await _autosaved(visit, appeal_id, entered)
    except SignedOut:
        return _not_saved(appeal_id, entered, _SIGNED_OUT, signed_out=True)
    except ApiUnavailable:
        return _not_saved(appeal_id, entered, "Система не отвечает: текст пока не сохранён, он остаётся в форме.")
    except ApiProblem as problem:
        return _not_saved(appeal_id, entered, refusal_text(problem))


async def _autosaved(visit: Visit, appeal_id: str, entered: EnteredReply) -> HTMLResponse:
    conflict, refusal, saved = None, "", False
    if not entered.is_blank:
        try:
            entered = entered.stored_as(await store(visit, appeal_id, entered))
            saved = True
        except ApiProblem as problem:
            if problem.status not in _SHOWN:
                raise
            refusal = refusal_text(problem) or " ".join(field_errors(problem).values())
            current = under_way(await visit.api.get(f"/appeals/{appeal_id}"))
            stale = problem.status == 412 or problem.slug == "reply-under-way"
            if stale and current is not None and current["status"] == "draft":
                conflict, refusal = await conflict_with(visit, appeal_id, entered, current), ""
    hints = await hints_for(visit, appeal_id, entered)
    return visit.fragment(
        "reply/autosaved.html",
        appeal_id=appeal_id,
        form=entered,
        saved=saved,
        conflict=conflict,
        refusal=refusal,
        hints=hints,
        signed_out=False,
    )


def _not_saved(appeal_id: str, entered: EnteredReply, refusal: str, *, signed_out: bool = False) -> HTMLResponse:
    html = render(
        "reply/autosaved.html",
        appeal_id=appeal_id,
        form=entered,
        saved=False,
        conflict=None,
        refusal=refusal,
        hints=[],
        signed_out=signed_out,
    )
    return HTMLResponse(html)


@router.get(PATH + "/lease")
async def show_lease(visit: VisitDep, appeal_id: str) -> HTMLResponse:
    """Return who is writing: a fragment that is refreshed while a colleague holds the lease."""
    lease = await lease_of(visit, appeal_id)
    return visit.fragment("reply/lease.html", appeal_id=appeal_id, holding=False, **lease_values(visit, lease))


@router.post(PATH + "/lease")
async def renew_lease(visit: VisitDep, appeal_id: str) -> HTMLResponse:
    """Take or renew the edit lease while the editor is open."""
    try:
        lease = (await visit.api.send("PUT", f"/appeals/{appeal_id}/reply-lease")).data
    except ApiProblem as problem:
        if problem.slug != "reply-being-written":
            raise
        lease = problem.document["lease"]
    return visit.fragment("reply/lease.html", appeal_id=appeal_id, holding=True, **lease_values(visit, lease))


@router.post(PATH + "/lease/release")
async def release_lease(visit: VisitDep, appeal_id: str) -> Response:
    """Release the edit lease: the person has left the editor."""
    await visit.api.send("DELETE", f"/appeals/{appeal_id}/reply-lease")
    return Response(status_code=204)


@router.get(PATH + "/state")
async def show_state(visit: VisitDep, appeal_id: str, waits: bool = False) -> Response:
    """Return the state of the last reply: a fragment that is refreshed until the reply is published or has failed.

    With `waits` (for approval), the whole page is reloaded after the decision, since its forms change.
    """
    appeal = await visit.api.get(f"/appeals/{appeal_id}")
    current = under_way(appeal)
    if waits and (current is None or current["status"] != "on_approval"):
        return Response(status_code=204, headers={"HX-Redirect": page_path(appeal_id)})
    return visit.fragment(
        "reply/state_read_again.html",
        appeal=appeal,
        current=current,
        following=await following(visit, appeal_id) if current is None else None,
        **outcome_of(appeal),
        approved_by=APPROVERS,
    )


@router.get(PATH + "/photos/{attachment_id}")
async def show_photo(visit: VisitDep, appeal_id: str, attachment_id: str) -> Response:
    """Return a photo of a reply."""
    return await photo(visit, f"/attachments/{attachment_id}")
