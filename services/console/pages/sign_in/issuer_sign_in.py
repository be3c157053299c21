"""Sign-in at the region's OIDC issuer: authorization code with PKCE."""

from uuid import UUID

from fastapi import Request
from fastapi.responses import RedirectResponse, Response

from services.console.api_calls.client import ApiProblem, SignedOut
from services.console.browser_sessions import oidc_sign_in
from services.console.browser_sessions.oidc_issuer import CodeRefused, OidcIssuer
from services.console.browser_sessions.oidc_sign_in import SIGN_IN_COOKIE, SIGN_IN_LIFETIME, ReturnedSignIn
from services.console.browser_sessions.token_endpoint import EndpointUnavailable, Tokens
from services.console.pages.sign_in.sign_in_form import revoked_on_failure, session_started, sign_in_form
from services.console.settings import console_settings
from services.console.site.page import page_router
from services.console.site.return_addresses import return_address
from services.console.site.site import get_site
from shared.logs import get_logger

log = get_logger(__name__)
router = page_router()
CALLBACK = "/sign-in/callback"
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_REFUSED = "Вход не удался: провайдер не подтвердил его. Попробуйте ещё раз."
_AGAIN = "Вход не закончен: прошло слишком много времени, или он начат в другом окне. Попробуйте ещё раз."
_SILENT = "Провайдер входа не отвечает. Повторите через минуту."
_NO_ACCESS = (
    "Вы вошли у провайдера, но доступа к системе у вас нет. Попросите его у руководителя или эксплуатации."
)


class _NotSignedIn(Exception):  # noqa: N818
    """The sign-in failed; `text` is the reason for the person."""

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.text = text
        self.status = status


@router.get("/sign-in/issuer")
async def go_to_issuer(request: Request, next: str = "/") -> Response:
    """Redirect the person to the issuer."""
    site, back = get_site(request), return_address(next)
    methods = await site.token_endpoint.methods()
    if methods.issuer is None or methods.client_id is None:
        return RedirectResponse("/sign-in", status_code=303)
    begun = oidc_sign_in.begin(console_settings().encryption_keys, back)
    try:
        address = await site.oidc_issuer(methods.issuer, methods.client_id).authorization_url(
            redirect_uri=_redirect_uri(request), state=begun.state, challenge=begun.challenge
        )
    except EndpointUnavailable as error:
        log.warning("oidc issuer unavailable", reason=str(error)[:300])
        return await sign_in_form(request, error=_SILENT, back=back, status=503)
    response = RedirectResponse(address, status_code=303)
    response.set_cookie(
        SIGN_IN_COOKIE,
        begun.cookie,
        max_age=int(SIGN_IN_LIFETIME.total_seconds()),
        secure=True,
        httponly=True,
        samesite="lax",
    )
    return response


@router.get(CALLBACK)
async def come_back(request: Request, state: str = "", code: str = "") -> Response:
    """Start a session for the person whom the issuer sent back."""
    response = await _signed_in(request, state, code)
    response.delete_cookie(SIGN_IN_COOKIE, secure=True, httponly=True, samesite="lax")
    return response


async def _signed_in(request: Request, state: str, code: str) -> Response:
    site = get_site(request)
    methods = await site.token_endpoint.methods()
    if methods.issuer is None or methods.client_id is None or not state:
        return RedirectResponse("/sign-in", status_code=303)
    begun = oidc_sign_in.finish(console_settings().encryption_keys, request.cookies.get(SIGN_IN_COOKIE), state)
    if begun is None:
        return await sign_in_form(request, error=_AGAIN, status=400)
    issuer = site.oidc_issuer(methods.issuer, methods.client_id)
    try:
        tokens = await _tokens(request, issuer, begun, code)
        async with revoked_on_failure(issuer, tokens):
            person_id = await _person(request, tokens)
            return await session_started(request, person_id, tokens, begun.return_to)
    except _NotSignedIn as failed:
        return await sign_in_form(request, error=failed.text, back=begun.return_to, status=failed.status)


async def _tokens(request: Request, issuer: OidcIssuer, begun: ReturnedSignIn, code: str) -> Tokens:
    """Return the tokens for the issuer's code. Raise _NotSignedIn if the issuer gives none."""
    if not code:  # the sign-in was cancelled or refused at the issuer
        raise _NotSignedIn(_REFUSED, 401)
    try:
        return await issuer.exchange(code, begun.verifier, _redirect_uri(request))
    except CodeRefused as error:
        raise _NotSignedIn(_REFUSED, 401) from error
    except EndpointUnavailable as error:
        log.warning("oidc issuer unavailable", reason=str(error)[:300])
        raise _NotSignedIn(_SILENT, 503) from error


async def _person(request: Request, tokens: Tokens) -> UUID:
    """Return the person of these tokens. Raise _NotSignedIn if the API refuses them or the person."""

    async def token(refused: str | None) -> str | None:
        return tokens.access if refused is None else None

    try:
        me = await get_site(request).new_api(token, CALLBACK).get("/me")
    except SignedOut as error:
        raise _NotSignedIn(_REFUSED, 401) from error
    except ApiProblem as problem:
        if problem.status != 403:
            raise
        raise _NotSignedIn(_NO_ACCESS, 403) from problem
    return UUID(me["person"]["id"])


def _redirect_uri(request: Request) -> str:
    """Return the address of the callback: a proxy may terminate TLS, so only loopback addresses get `http`."""
    scheme = "http" if request.url.hostname in _LOOPBACK else "https"
    return f"{scheme}://{request.url.netloc}{CALLBACK}"
