"""End the sessions of all people, for a database restored from a backup, where ended sessions are active again.

Each database role ends the sessions of its service: registry those for which it issued tokens, the console those
of browsers, which may hold tokens of an external issuer.
"""

from services.console.browser_sessions import session_store
from services.registry.authentication import sessions
from shared.audit import recorder
from shared.database.sessions import Database
from shared.settings import settings


async def end_sessions() -> int:
    """End all sessions and return their number. Needs registry's database role."""
    database = Database(settings().direct_url, 1, name="sessions")
    try:
        async with database.write() as session:
            recorder.set_context(session, recorder.operator_context("registry", "end-sessions"))
            return await sessions.end_everyones(session)
    finally:
        await database.close()


async def end_browser_sessions() -> int:
    """End all browser sessions in the console and return their number. Needs the console's database role."""
    database = Database(settings().direct_url, 1, name="sessions")
    try:
        async with database.write() as session:
            return await session_store.end_everyones(session)
    finally:
        await database.close()
