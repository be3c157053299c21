"""Continue a session by its refresh token, and end it if a used token is sent again.

A refresh token is valid for 14 days and one use. Within 30 seconds a used one gives the same successor again,
because two tabs of a browser may refresh at once; a later reuse means that the token was copied.
"""

from sqlalchemy import select

from services.registry.authentication import passwords, sessions
from services.registry.authentication.token_issuer import IssuedTokens, OAuthRefusal, TokenIssuer, refuse_locked
from shared import clock, security_log
from shared.audit import recorder
from shared.database.sessions import WriteSession
from shared.tables.registry import RefreshToken


async def refresh_session(
    session: WriteSession, issuer: TokenIssuer, token: str, origin: sessions.ClientInfo
) -> IssuedTokens:
    """Continue a session: mark the token as used and return its successor.

    Raises `OAuthRefusal` for a token that is unknown, expired, revoked or used before, and for a person who may
    not sign in. Reuse after the grace period, or after the successor was used, ends the session; the caller must
    commit even then.
    """
    digest = passwords.secret_digest(token)
    person_id = await session.scalar(select(RefreshToken.person_id).where(RefreshToken.digest == digest))
    person = None if person_id is None else await sessions.lock_person(session, person_id)
    # Read after locking the person: of two concurrent refreshes, the second sees that the token is used.
    refresh_token = await session.scalar(select(RefreshToken).where(RefreshToken.digest == digest))
    if (
        refresh_token is None
        or person is None
        or refresh_token.revoked_at is not None
        or refresh_token.expires_at <= clock.now()
    ):
        raise OAuthRefusal("invalid_grant", "The refresh token is unknown, expired or revoked")
    successor = await sessions.recent_successor(session, refresh_token, token)
    if refresh_token.used_at is not None and successor is None:
        # The token was copied. Unlike other sign-in events, the end of its session is written to the audit trail.
        recorder.set_actor(session, str(person.id))
        security_log.log_security_event(
            "refresh_token_reused", person_id=str(person.id), session_id=str(refresh_token.session_id)
        )
        await sessions.end_by_token(session, token)
        raise OAuthRefusal(
            "invalid_grant", "The refresh token was already used: its session has been revoked, sign in again"
        )
    if not person.active:
        raise OAuthRefusal("invalid_grant", "The person may no longer sign in")
    refuse_locked(person)
    if successor is None:
        successor = await sessions.rotate_refresh_token(session, refresh_token, token, origin)
    return IssuedTokens(issuer.access_token(person, session_id=refresh_token.session_id), successor)
