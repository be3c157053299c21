"""The ways to sign in, as the OpenAPI document describes them."""

from fastapi.openapi.models import OAuthFlowClientCredentials, OAuthFlowPassword, OAuthFlows
from fastapi.security import APIKeyCookie, HTTPBearer, OAuth2
from fastapi.security.base import SecurityBase

from shared.auth import session_cookies
from shared.auth.rights import RIGHT_DESCRIPTIONS, Right

_TOKEN_URL = "/api/v1/auth/token"  # noqa: S105 — the URL of the token endpoint
_SCOPES = {right.value: RIGHT_DESCRIPTIONS[right] for right in Right}
_OAUTH = OAuth2(
    flows=OAuthFlows(
        password=OAuthFlowPassword(tokenUrl=_TOKEN_URL, scopes=_SCOPES),
        clientCredentials=OAuthFlowClientCredentials(tokenUrl=_TOKEN_URL, scopes=_SCOPES),
    ),
    auto_error=False,
    scheme_name="oauth2",
    description="People sign in with a password, API clients with a secret. The scope of a client's token may "
    "name fewer rights than its role has; a person's token has all rights of the role",
)
BEARER = HTTPBearer(auto_error=False, scheme_name="bearer")
_COOKIE = APIKeyCookie(
    name=session_cookies.ACCESS_COOKIE,
    auto_error=False,
    scheme_name="cookie",
    description="For front ends of the same origin: set by `POST /auth/session`, and accepted from its pages only",
)
# They are not dependencies of `get_caller`, because FastAPI would resolve them again for each dependency that
# needs the caller.
SIGN_IN_SCHEMES: tuple[SecurityBase, ...] = (_OAUTH, BEARER, _COOKIE)
