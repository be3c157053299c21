"""What was written in the network, for those who check it from outside."""

from typing import Any

from emulators.common.store import Store
from emulators.ok.ids import rfc3339


def answers(store: Store, page: str | None) -> list[dict[str, Any]]:
    """Comments and messages in the groups' names that are still there, oldest first."""
    rows = store.all(
        "SELECT id, CAST(topic AS TEXT) AS thread, reply_to, text, created_ms, via, page, number FROM comments"
        " WHERE author >= 'group:' AND author < 'group;' AND deleted_by IS NULL"
        " AND (?1 IS NULL OR page = ?1)"
        " UNION ALL"
        " SELECT id, 'chat:' || chat, reply_to, text, created_ms, via, page, number FROM messages"
        " WHERE sender >= 'group:' AND sender < 'group;' AND deleted_by IS NULL"
        " AND (?1 IS NULL OR page = ?1)"
        " ORDER BY created_ms, number",
        (page,),
    )
    return [
        {
            "id": row["id"],
            "thread": row["thread"],
            "in_reply_to": row["reply_to"],
            "text": row["text"],
            "at": rfc3339(row["created_ms"]),
            "by": row["via"],
            "page": row["page"],
        }
        for row in rows
    ]


def counts(store: Store) -> list[dict[str, Any]]:
    """Stored texts by page, kind and side: the citizens' and the community's own."""
    rows = store.all(
        "SELECT page, kind, CASE WHEN writer < 'group;' THEN 'community' ELSE 'citizens' END AS side,"
        " count(*) AS count FROM ("
        " SELECT page, 'wall_post' AS kind, author AS writer FROM topics WHERE deleted_by IS NULL"
        " UNION ALL SELECT page, 'comment', author FROM comments WHERE deleted_by IS NULL"
        " UNION ALL SELECT page, 'message', sender FROM messages WHERE deleted_by IS NULL"
        ") GROUP BY page, kind, side ORDER BY page, kind, side"
    )
    return [{"page": row["page"], "kind": row["kind"], "by": row["side"], "count": row["count"]} for row in rows]
