"""What ingest keeps for a term only."""

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import select

from shared import clock
from shared.database.purge import Rule, Terms, expired
from shared.tables.appeals import OPEN_STATUSES, Appeal, AppealMessage
from shared.tables.ingest import MessageVersion, SeenEvent, SetAside, Tombstone

# A network tries a push again for hours; what waits longer comes by polling, under no event's name.
SEEN_FOR = timedelta(days=3)
BURIED_FOR = timedelta(days=30)


def rules(terms: Terms) -> Sequence[Rule]:
    """Return the rules of ingest's tables. Former texts of a message stay while its appeal is open."""
    awaited = (
        select(AppealMessage.message_id)
        .join(Appeal, Appeal.id == AppealMessage.appeal_id)
        .where(AppealMessage.message_id == MessageVersion.message_id, Appeal.status.in_(OPEN_STATUSES))
        .exists()
    )
    set_aside, versions = timedelta(days=terms.set_aside_days), timedelta(days=terms.message_versions_days)
    return (
        expired(SeenEvent, SeenEvent.created_at, lambda: [SeenEvent.created_at < clock.now() - SEEN_FOR]),
        expired(Tombstone, Tombstone.created_at, lambda: [Tombstone.created_at < clock.now() - BURIED_FOR]),
        expired(SetAside, SetAside.created_at, lambda: [SetAside.created_at < clock.now() - set_aside]),
        expired(
            MessageVersion,
            MessageVersion.replaced_at,
            lambda: [MessageVersion.replaced_at < clock.now() - versions, ~awaited],
        ),
    )
