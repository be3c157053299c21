"""Activate the starter routing rules of a new installation."""

from services.appeals.routing.starter_rules import STARTER_ACTOR, install_starter_rules
from shared.audit import recorder
from shared.database.sessions import Database
from shared.settings import settings


async def install() -> int | None:
    """Activate the starter rules and return the number of their rule set; None if there already are rules.

    Needs appeals' database role.
    """
    database = Database(settings().direct_url, 1, name="starter-rules")
    try:
        async with database.write() as session:
            recorder.set_context(session, recorder.operator_context("appeals", "starter-rules"))
            made = await install_starter_rules(session, STARTER_ACTOR)
            return made.number if made is not None else None
    finally:
        await database.close()
