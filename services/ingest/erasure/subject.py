"""The person of an erasure: author key, network id and direct conversations; encrypted at rest."""

from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import func, select, union
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.ingest.pseudonymisation.erased_digests import (
    ERASURE_LOCK,
    author_digest,
    conversation_digest,
    erased_thread_key,
)
from services.ingest.pseudonymisation.found_conversations import is_group_chat
from services.ingest.tokens.crypto import decrypt, encrypt
from shared.database.sessions import WriteSession
from shared.tables.ingest import Author, Message
from shared.tables.ingest_erasure import ErasedKey, Erasure

AUTHORS_AT_A_TIME = 5_000


@dataclass(frozen=True)
class Subject:
    """The person to erase. `threads`: direct conversations in which only this person and the staff wrote."""

    author_key: str
    network: str | None
    native_id: str | None
    threads: list[str]

    def encrypted(self) -> bytes:
        """Return the subject encrypted for storage."""
        return encrypt(asdict(self))

    @staticmethod
    def decrypted(stored: bytes) -> "Subject":
        """Return the subject that `encrypted` encrypted."""
        return Subject(**decrypt(stored))

    @property
    def replaced_threads(self) -> dict[str, str]:
        """Return the replacement of each conversation's thread key."""
        return {thread: erased_thread_key(thread) for thread in self.threads}


async def lock_intake(session: WriteSession) -> None:
    """Wait until no batch of messages is being stored, and let none begin before the end of the transaction."""
    await session.execute(select(func.pg_advisory_xact_lock(ERASURE_LOCK)))


async def find_subject(session: AsyncSession, author_key: str) -> Subject:
    """Return the person with this author key; without network and network id if no author has the key."""
    author = await session.get(Author, author_key)
    identity = {} if author is None else decrypt(author.identity)
    own = select(Message.thread_key).where(Message.author_key == author_key, Message.kind == "message").distinct()
    threads = list(await session.scalars(own))
    others = set(
        await session.scalars(
            select(Message.thread_key)
            .where(
                Message.thread_key.in_(threads),
                ~Message.from_community,
                Message.author_key.is_distinct_from(author_key),
                Message.erased_at.is_(None),
            )
            .distinct()
        )
    )
    return Subject(
        author_key=author_key,
        network=None if author is None else author.network,
        native_id=identity.get("id"),
        threads=sorted(thread for thread in set(threads) - others if not is_group_chat(thread)),
    )


async def find_by_digest(session: AsyncSession, digest: str) -> str | None:
    """Return the key of the author with this digest, or None; reads the keys of all authors."""
    after = ""
    while True:
        keys = list(
            await session.scalars(
                select(Author.author_key)
                .where(Author.author_key > after)
                .order_by(Author.author_key)
                .limit(AUTHORS_AT_A_TIME)
            )
        )
        found = next((key for key in keys if author_digest(key) == digest), None)
        if found is not None or len(keys) < AUTHORS_AT_A_TIME:
            return found
        after = keys[-1]


async def last_written(session: AsyncSession, subject: Subject) -> datetime | None:
    """Return the time of the last message by the person or in the person's conversations; None without one."""
    of_author = select(Message.written_at).where(Message.author_key == subject.author_key)
    of_conversations = select(Message.written_at).where(Message.thread_key.in_(subject.threads))
    # A union, not OR: each half is read by its index.
    written = union(of_author, of_conversations).subquery()
    last: datetime | None = await session.scalar(select(func.max(written.c.written_at)))
    return last


async def store_digests(session: WriteSession, erasure: Erasure, threads: list[str]) -> None:
    """Store the digests by which intake recognises author and conversations. Call under `lock_intake`."""
    digests = [erasure.author_digest, *map(conversation_digest, threads)]
    statement = insert(ErasedKey)
    given = statement.excluded
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=[ErasedKey.digest],
            set_={"until": func.greatest(ErasedKey.until, given.until), "erasure_id": given.erasure_id},
        ),
        [{"digest": digest, "until": erasure.until, "erasure_id": erasure.id} for digest in sorted(set(digests))],
    )
