"""Erasure of the replies to a citizen: they address the person and quote the question."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import select

from services.appeals.erasure.statements import delete_rows, update_rows
from services.appeals.erasure.stored_values import without_words
from shared import clock
from shared.contracts.erasures import AUTHOR_ERASED
from shared.database.sessions import WriteSession
from shared.tables.appeals_replies import Reply, ReplyChange, ReplyLease, ReplyVersion
from shared.tables.attachments import Attachment


async def erase_replies(session: WriteSession, direct: Sequence[UUID], appeal_ids: Sequence[UUID]) -> None:
    """Erase the replies to these appeals; replies to the appeals `direct` lose their network URL too. Drafts are
    discarded, and replies not yet accepted by ingest fail: nobody may write to the person now.
    """
    of_appeals = select(Reply.id).where(Reply.appeal_id.in_(appeal_ids))
    rows = await session.execute(
        select(Reply.id, Reply.status, Reply.publication_id, Reply.failure, Reply.approval, Reply.appeal_id)
        .where(Reply.appeal_id.in_(appeal_ids))
        .order_by(Reply.id)
        .with_for_update()
    )
    now = clock.now()
    for row in rows.all():
        values: dict[str, Any] = {
            "text": "",
            "answered_by": None,
            "failure": without_words(row.failure),
            "approval": without_words(row.approval),
        }
        if row.status in {"draft", "on_approval"}:
            values["status"] = "discarded"
        elif row.status == "queued" and row.publication_id is None:
            values |= {
                "status": "failed",
                "failure": AUTHOR_ERASED | {"at": now.isoformat(), "will_retry": False},
            }
        if row.appeal_id in direct:
            values["url"] = None
        await update_rows(session, Reply, Reply.id == row.id, **values, updated_at=now, version=Reply.version + 1)
    await update_rows(session, ReplyVersion, ReplyVersion.reply_id.in_(of_appeals), text="", hints=None)
    changes = ReplyChange.reply_id.in_(of_appeals)
    await update_rows(session, ReplyChange, changes, former_text="", reason="", hints=None)
    await update_rows(session, ReplyChange, changes & ReplyChange.text.is_not(None), text="")
    unsent = changes & (ReplyChange.status == "queued") & ReplyChange.accepted_at.is_(None)
    await update_rows(session, ReplyChange, unsent, status="failed", ended_at=now, failure=AUTHOR_ERASED)
    # Found by the attachment's `reply_id`: an edit may have removed the photo from the reply, or not added it yet.
    await update_rows(session, Attachment, Attachment.reply_id.in_(of_appeals), name="фото")
    await delete_rows(session, ReplyLease, ReplyLease.appeal_id.in_(appeal_ids))
