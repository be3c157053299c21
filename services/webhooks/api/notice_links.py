"""Pages that links in letters open without signing in: confirm an address, unsubscribe.

Opening a page changes nothing, since mail programs open links by themselves; its button makes the change.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse

from services.webhooks.notices import links, preferences
from services.webhooks.notices.mail.letters import KIND_TITLES
from services.webhooks.notices.mail.rendering import page
from services.webhooks.schemas.notices import NoticeKind
from services.webhooks.settings import webhooks_settings
from shared.audit import recorder
from shared.http.problems import NotFound, responses
from shared.service import UncheckedWriteTransaction

router = APIRouter(prefix="/notices", tags=["notices"], responses=responses(NotFound))

Token = Annotated[str, Query(max_length=1000, description="From the letter")]
# No scripts, no content from elsewhere, and no `Referer`: the address contains a secret.
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'",
    "Referrer-Policy": "no-referrer",
}
_PAGE: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/html": {"example": "<!doctype html><title>Подтвердите адрес</title>"}}}
}
_UNKNOWN = "The link is damaged or too old, or was made with a key that is no longer in use"


def _html(title: str, *paragraphs: str, button: str | None = None, action: str = "") -> HTMLResponse:
    shown = page("page", subject=title, paragraphs=paragraphs, button=button, action=action)
    return HTMLResponse(shown, headers=_HEADERS)


def _kinds(wanted: links.Unsubscription) -> str:
    return ", ".join(KIND_TITLES[kind].lower() for kind in KIND_TITLES if kind in wanted.kinds)


def _what_stays(wanted: links.Unsubscription) -> str:
    if wanted.kinds == (NoticeKind.REPORT,):
        return "Сам отчёт по-прежнему выходит каждую неделю."
    return "Сами обращения останутся в вашем списке."


def _unsubscription(token: str) -> links.Unsubscription:
    wanted = links.read_unsubscribe_token(webhooks_settings().encryption_keys, token)
    if wanted is None:
        raise NotFound(_UNKNOWN)
    return wanted


@router.get("/unsubscription", summary="Page that ends notices", response_class=HTMLResponse, responses=_PAGE)
async def show_unsubscription(token: Token) -> HTMLResponse:
    """Return a page with a button that unsubscribes from the kinds of notices in the letter."""
    wanted = _unsubscription(token)
    return _html(
        "Отписаться от уведомлений",
        f"Больше не присылать письма этих видов: {_kinds(wanted)}.",
        f"{_what_stays(wanted)} Вернуть письма можно в настройках уведомлений.",
        button="Отписаться",
        action=f"?token={token}",
    )


@router.post("/unsubscription", summary="End notices with one click", response_class=HTMLResponse, responses=_PAGE)
async def end_notices(token: Token, session: UncheckedWriteTransaction) -> HTMLResponse:
    """Unsubscribe from the kinds of notices in the letter. Mail programs send this request (RFC 8058)."""
    wanted = _unsubscription(token)
    # The link, not the person, is the actor: anybody who has the letter can use it.
    recorder.set_actor(session, f"link:{wanted.person_id}")
    await preferences.unsubscribe(session, wanted.person_id, wanted.kinds)
    return _html("Вы отписались", f"Письма больше не придут: {_kinds(wanted)}.")


@router.get("/confirmation", summary="Page that confirms an address", response_class=HTMLResponse, responses=_PAGE)
async def show_confirmation(token: Token) -> HTMLResponse:
    """Return a page with a button that confirms the address to which the link was sent."""
    if links.read_confirmation_token(webhooks_settings().encryption_keys, token) is None:
        raise NotFound(_UNKNOWN)
    return _html(
        "Подтвердите адрес",
        "На этот адрес будут приходить уведомления Госпаблика.",
        button="Подтвердить",
        action=f"?token={token}",
    )


@router.post("/confirmation", summary="Confirm an address", response_class=HTMLResponse, responses=_PAGE)
async def confirm_notice_address(token: Token, session: UncheckedWriteTransaction) -> HTMLResponse:
    """Confirm the address to which the link was sent; the link works once."""
    found = links.read_confirmation_token(webhooks_settings().encryption_keys, token)
    if found is None:
        raise NotFound(_UNKNOWN)
    person_id, nonce = found
    recorder.set_actor(session, f"link:{person_id}")
    if not await preferences.confirm(session, person_id, nonce):
        return _html(
            "Ссылка больше не действует",
            "Адрес уже подтверждён, или указан другой. Новую ссылку можно получить в настройках уведомлений.",
        )
    return _html("Адрес подтверждён", "Теперь уведомления будут приходить сюда.")
