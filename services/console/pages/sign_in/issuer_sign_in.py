"""Sign-in at the region's OIDC issuer: authorization code with PKCE."""

from uuid import UUID

from fastapi import Request
from fastapi.responses import RedirectResponse, Response

from services.console.api_calls.client import ApiProblem, SignedOut
from services.console.browser_sessions.oidc_issuer import CodeRefused, OidcIssuer
from services.console.browser_sessions.oidc_sign_in import SIGN_IN_COOKIE, SIGN_IN_LIFETIME, ReturnedSignIn
from services.console.browser_sessions.token_endpoint import EndpointUnavailable, Tokens
from services.console.pages.sign_in.sign_in_form import session_started, sign_in_form
from services.console.site.page import page_router
from services.console.site.site import get_site
from services.console.site.visit import local_path
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
    """Nobody is signed in; `text` says why."""

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.text = text
        self.status = status


@router.get("/sign-in/issuer")
async def go_to_issuer(request: Request, next: str = "/") -> Response:
    """Send the person to the issuer."""
    site, back = get_site(request), local_path(next)
    methods = await site.token_endpoint.methods()
    if methods.issuer is None or methods.client_id is None:
        return RedirectResponse("/sign-in", status_code=303)
    begun = await site.sign_ins.begin(back)
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
        begun.secret,
        max_age=int(SIGN_IN_LIFETIME.total_seconds()),
        secure=True,
        httponly=True,
        samesite="lax",
    )
    return response


@router.get(CALLBACK)
async def come_back(request: Request, state: str = "", code: str = "") -> Response:
    """Start a session for the person who comes back from the issuer."""
    response = await _signed_in(request, state, code)
    response.delete_cookie(SIGN_IN_COOKIE, secure=True, httponly=True, samesite="lax")
    return response


async def _signed_in(request: Request, state: str, code: str) -> Response:
    site = get_site(request)
    methods = await site.token_endpoint.methods()
    if methods.issuer is None or methods.client_id is None or not state:
        return RedirectResponse("/sign-in", status_code=303)
    begun = await site.sign_ins.finish(request.cookies.get(SIGN_IN_COOKIE), state)
    if begun is None:
        return await sign_in_form(request, error=_AGAIN, status=400)
    issuer = site.oidc_issuer(methods.issuer, methods.client_id)
    try:
        person_id, tokens = await _identified(request, issuer, begun, code)
    except _NotSignedIn as failed:
        return await sign_in_form(request, error=failed.text, back=begun.return_to, status=failed.status)
    return await session_started(request, person_id, tokens, begun.return_to)


async def _identified(
    request: Request, issuer: OidcIssuer, begun: ReturnedSignIn, code: str
) -> tuple[UUID, Tokens]:
    """Return the person for whom the issuer gave the code, and their tokens. Raise _NotSignedIn."""
    if not code:  # the person refused, or the issuer did
        raise _NotSignedIn(_REFUSED, 401)
    try:
        tokens = await issuer.exchange(code, begun.verifier, _redirect_uri(request))
        person_id = await _person(request, tokens)
        if person_id is None:
            await issuer.revoke(tokens)
            raise _NotSignedIn(_NO_ACCESS, 403)
    except (CodeRefused, SignedOut) as error:
        raise _NotSignedIn(_REFUSED, 401) from error
    except EndpointUnavailable as error:
        log.warning("oidc issuer unavailable", reason=str(error)[:300])
        raise _NotSignedIn(_SILENT, 503) from error
    return person_id, tokens


async def _person(request: Request, tokens: Tokens) -> UUID | None:
    """Return the person of these tokens; None if they have no access. Raise SignedOut if the API refuses them."""

    async def token(refused: str | None) -> str | None:
        return tokens.access if refused is None else None

    try:
        me = await get_site(request).new_api(token, CALLBACK).get("/me")
    except ApiProblem as problem:
        if problem.status != 403:
            raise
        return None
    return UUID(me["person"]["id"])


def _redirect_uri(request: Request) -> str:
    """Return the address of the callback; TLS may end before this server, and only loopback does without it."""
    scheme = "http" if request.url.hostname in _LOOPBACK else "https"
    return f"{scheme}://{request.url.netloc}{CALLBACK}"
