"""Direct conversations of erased people that are first seen after the erasure, for example by a backfill."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg

# In VK, peer ids above this number are group chats; others are people and communities.
VK_GROUP_CHATS = 2_000_000_000

_WITH_OTHERS = """
SELECT u.digest FROM unnest($1::text[], $2::text[], $3::text[]) AS u(digest, thread_key, author_key)
WHERE EXISTS (
    SELECT FROM messages m WHERE m.thread_key = u.thread_key AND NOT m.from_community
    AND m.author_key IS DISTINCT FROM u.author_key)
"""
_REMEMBER = """
INSERT INTO erased_keys (digest, until, erasure_id)
SELECT u.digest, k.until, k.erasure_id
FROM unnest($1::text[], $2::text[]) AS u(digest, author_digest) JOIN erased_keys k ON k.digest = u.author_digest
ORDER BY u.digest
ON CONFLICT DO NOTHING
"""
_UNTIL = "SELECT digest, until FROM erased_keys WHERE digest = ANY($1::text[])"


@dataclass(frozen=True)
class FoundConversation:
    """A conversation by its digest and key, and the erased person in it."""

    digest: str
    thread_key: str
    author_key: str
    author_digest: str


def is_group_chat(thread_key: str) -> bool:
    """Return whether the key shows a group chat, in which several people may write."""
    peer = thread_key.rpartition("_")[2]
    return thread_key.startswith("vk:") and peer.isdecimal() and int(peer) > VK_GROUP_CHATS


async def remember_conversations(
    connection: asyncpg.Connection, found: Sequence[FoundConversation]
) -> dict[str, datetime]:
    """Record as erased the conversations in which no other person wrote; return, by digest, until when."""
    if not found:
        return {}
    columns = [one.digest for one in found], [one.thread_key for one in found], [one.author_key for one in found]
    shared = {row["digest"] for row in await connection.fetch(_WITH_OTHERS, *columns)}
    direct = [one for one in found if one.digest not in shared]
    digests = [one.digest for one in direct]
    await connection.execute(_REMEMBER, digests, [one.author_digest for one in direct])
    return {row["digest"]: row["until"] for row in await connection.fetch(_UNTIL, digests)}
