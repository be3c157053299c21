"""Sign-in of API clients: a client secret is exchanged for an access token, which a scope may narrow."""

from uuid import UUID

from services.registry.authentication import client_secrets
from services.registry.authentication.token_issuer import IssuedTokens, OAuthRefusal, TokenIssuer
from shared import clock, security_log
from shared.auth.rights import RIGHTS, Role
from shared.database.sessions import WriteSession
from shared.tables.registry import ApiClient


async def sign_in_client(
    session: WriteSession, issuer: TokenIssuer, client_id: str, secret: str, requested_scope: str | None = None
) -> IssuedTokens:
    """Issue a token to an API client, narrowed to the requested scope.

    Raises `OAuthRefusal`: 401 for an invalid client or secret, 400 for a scope that the client lacks.
    """
    try:
        client = await session.get(ApiClient, UUID(client_id))
    except ValueError:
        client = None
    secret_id = None if client is None else await client_secrets.verify(session, client.id, secret)
    expired = client is not None and client.expires_at is not None and client.expires_at <= clock.now()
    if client is None or secret_id is None or not client.active or expired:
        security_log.log_security_event(
            "sign_in_failed", client_id=None if client is None else str(client.id), reason="client"
        )
        raise OAuthRefusal(
            "invalid_client", "The client is unknown, inactive or expired, or its secret is wrong", status=401
        )
    scope = _scope(client, requested_scope)
    security_log.log_security_event("signed_in", client_id=str(client.id))
    return IssuedTokens(issuer.access_token(client, scope=scope, session_id=secret_id), None, scope)


def _scope(client: ApiClient, requested_scope: str | None) -> str | None:
    allowed_scopes = None if client.scopes is None else set(client.scopes)
    if requested_scope is None:
        return None if allowed_scopes is None else " ".join(sorted(allowed_scopes))
    requested = set(requested_scope.split())
    if strange := sorted(
        requested - (RIGHTS[Role(client.role)].keys() if allowed_scopes is None else allowed_scopes)
    ):
        raise OAuthRefusal("invalid_scope", f"The client has no right «{strange[0][:100]}»")
    return " ".join(sorted(requested))
