"""Publications as readers may see them: lists are masked, and private conversations name nobody.

The ids of a direct message contain the account of the person who gets it.
"""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from services.ingest.schemas.publications import PublicationOut
from shared.auth.callers import Caller
from shared.auth.rights import Right
from shared.masking import mask
from shared.personal_data_reads import note_read
from shared.tables.ingest import Publication


def publication_out(session: AsyncSession, caller: Caller, row: Publication) -> PublicationOut:
    """Return a publication with its whole text; the read is recorded for its appeal."""
    if row.appeal_id is not None:
        note_read(session, caller, "appeal", [row.appeal_id])
    return _shown(caller, row)


def list_items(caller: Caller, rows: Sequence[Publication]) -> list[PublicationOut]:
    """Return publications with masked texts and names of photos."""
    return [_masked(_shown(caller, row)) for row in rows]


def _shown(caller: Caller, row: Publication) -> PublicationOut:
    out = PublicationOut.model_validate(row)
    if out.kind == "comment" or Right.MESSAGES_READ in caller.rights:
        return out
    return out.model_copy(update={"thread_key": None, "external_id": None, "url": None})


def _masked(out: PublicationOut) -> PublicationOut:
    photos = [photo.model_copy(update={"name": mask(photo.name)}) for photo in out.attachments]
    return out.model_copy(update={"text": mask(out.text), "attachments": photos})
