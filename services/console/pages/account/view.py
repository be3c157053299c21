"""The person's account: sessions, notice settings and notices."""

from typing import Any

from fastapi import HTTPException
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from services.console.api_calls.client import ApiProblem
from services.console.site.addresses import first_page, next_page
from services.console.site.forms import entered
from services.console.site.page import Page, page_router
from services.console.site.visit import Visit, VisitDep, together
from services.console.words.labels import LABELS

PATH = "/account"
NOTICES = f"{PATH}/notices"
router = page_router()
PAGE = Page(router)
_SESSIONS = 20
_REFUSED = {
    412: "Настройки изменились, пока вы работали. Проверьте их и повторите.",
    429: "Сегодня отправлено слишком много ссылок. Повторите завтра.",
}


@router.get(PATH)
async def show_account(visit: VisitDep) -> HTMLResponse:
    """Show the person, their sessions and their notice settings."""
    return await _account_page(visit)


async def _account_page(
    visit: Visit,
    *,
    refusal: str = "",
    address: str = "",
    code: dict[str, Any] | None = None,
    status: int = 200,
) -> HTMLResponse:
    settings, accounts, sessions = await together(
        visit.api.send("GET", "/me/notice-settings"),
        visit.api.get("/me/notice-accounts"),
        visit.api.get("/me/sessions", {"limit": _SESSIONS}),
    )
    linked = [account["network"] for account in accounts if account["state"] == "linked"]
    return visit.render(
        "account/account.html",
        status=status,
        settings=settings.data,
        version=settings.version,
        sessions=sessions["items"],
        kinds=_offered_kinds(visit, settings.data["choices"]),
        deliveries=tuple(LABELS["notice_delivery"].items()),
        accounts=accounts,
        channels=[(key, words) for key, words in LABELS["notice_channel"].items() if key in ("email", *linked)],
        code=code,
        refusal=refusal,
        address=address,
    )


def _offered_kinds(visit: Visit, choices: dict[str, str]) -> list[tuple[str, str, str]]:
    """Return each kind of notice with its label and choice; «report» only for those who may read the report."""
    return [
        (kind, LABELS["notice_kind"][kind], choice)
        for kind, choice in choices.items()
        if kind in LABELS["notice_kind"] and (kind != "report" or visit.may("reports:read"))
    ]


@router.get("/settings/notices")
async def lead_to_settings(visit: VisitDep) -> Response:
    """Redirect from the link in an e-mail to the settings."""
    return RedirectResponse(f"{PATH}#notices", status_code=303)


@router.get(NOTICES)
async def show_notices(visit: VisitDep) -> HTMLResponse:
    """Show the person's notices."""
    cursor = visit.request.query_params.get("cursor")
    query = {"kind": visit.request.query_params.get("kind", "")}
    listed = await visit.api.get("/me/notices", {**query, "limit": 30, "cursor": cursor})
    return visit.render(
        "account/notices.html",
        notices=listed["items"],
        query=query,
        kinds=[("", "все"), *LABELS["notice_kind"].items()],
        first=first_page(visit),
        after=next_page(visit, listed["next_cursor"]),
    )


@router.post(f"{PATH}/sessions/end-others")
async def end_other_sessions(visit: VisitDep) -> Response:
    """End all sessions except this one."""
    await visit.api.send("DELETE", "/me/sessions")
    return visit.redirect(PATH, note="Все остальные сессии завершены")


@router.post(PATH + "/sessions/{session_id}/end")
async def end_own_session(visit: VisitDep, session_id: str) -> Response:
    """End one session; a session that has ended meanwhile is not an error."""
    try:
        await visit.api.send("DELETE", f"/me/sessions/{session_id}")
    except ApiProblem as problem:
        if problem.status != 404:
            raise
    return visit.redirect(PATH, note="Сессия завершена")


@router.post(f"{PATH}/address")
async def change_address(visit: VisitDep) -> Response:
    """Set the e-mail address for notices, or send its confirmation link again; an empty field removes the
    address.
    """
    form = await entered(visit.request)
    address = form.get("address") or None
    return await _changed(
        visit,
        form,
        {"address": address},
        "На адрес отправлена ссылка: откройте её, чтобы подтвердить." if address else "Адрес удалён.",
        invalid="Это не адрес электронной почты.",
    )


@router.post(f"{PATH}/networks")
async def change_network(visit: VisitDep) -> Response:
    """Show a code that links an account in a network, or unlink the account."""
    form = await entered(visit.request)
    network = form.get("network", "")
    if network not in LABELS["network"]:
        raise HTTPException(404)
    if form.get("do") == "unlink":
        try:
            await visit.api.send("DELETE", f"/me/notice-accounts/{network}")
        except ApiProblem as problem:
            if problem.status != 404:  # the account was unlinked meanwhile
                raise
        return visit.redirect(PATH, note="Уведомления отключены")
    try:
        made = await visit.api.send("POST", "/me/notice-accounts", {"network": network})
    except ApiProblem as problem:
        if problem.status != 409:
            raise
        return await _account_page(visit, refusal="В этой соцсети уведомлений нет.", status=409)
    return await _account_page(visit, code=made.data)


@router.post(f"{PATH}/notices")
async def change_choices(visit: VisitDep) -> Response:
    """Set how the person gets each kind of notice."""
    form = await entered(visit.request)
    choices = {kind: chosen for kind in LABELS["notice_kind"] if (chosen := form.get(f"kind_{kind}"))}
    channels = {kind: chosen for kind in LABELS["notice_kind"] if (chosen := form.get(f"channel_{kind}"))}
    body: dict[str, Any] = {"choices": choices, "urgent_at_any_hour": form.get("urgent_at_any_hour") == "yes"}
    if channels:
        body["channels"] = channels
    return await _changed(
        visit,
        form,
        body,
        "Настройки уведомлений сохранены.",
        invalid="Выбран недоступный способ: проверьте адрес почты и привязанные аккаунты, затем повторите.",
    )


async def _changed(
    visit: Visit, form: dict[str, str], body: dict[str, Any], note: str, *, invalid: str
) -> Response:
    try:
        await visit.api.send("PATCH", "/me/notice-settings", body, version=form.get("version"))
    except ApiProblem as problem:
        refusal = invalid if problem.status == 422 else _REFUSED.get(problem.status)
        if refusal is None:
            raise
        return await _account_page(visit, refusal=refusal, address=form.get("address", ""), status=problem.status)
    return visit.redirect(PATH, note=note)
