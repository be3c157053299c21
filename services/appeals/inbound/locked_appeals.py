"""The appeals that a batch of messages may change, locked until the transaction ends."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Select, Text, and_, cast, func, or_, select
from sqlalchemy.orm import aliased

from services.appeals.lifecycle.workflow import FINAL_STATUSES
from shared import clock
from shared.database.id_conditions import is_one_of
from shared.database.sessions import WriteSession
from shared.tables.appeals import OPEN_APPEAL_STATUSES, Appeal, AppealMessage
from shared.tables.appeals_merges import AppealMerge
from shared.tables.ingest import Message

REOPEN_WINDOW = timedelta(days=30)

ThreadAuthor = tuple[str, str]


def thread_author(message: Message) -> ThreadAuthor:
    """Return the thread and the author of a message. Without an author key the message is matched with no
    other.
    """
    return message.thread_key, message.author_key or f"message:{message.id}"


def _of_authors(keys: Collection[ThreadAuthor], appeal: Any) -> Select[tuple[UUID]]:
    """Return a SELECT of the ids of the appeals of these threads and authors. `appeal` is `Appeal` or an alias.

    Two arrays take much less time to plan than a list of hundreds of pairs.
    """
    threads, authors = (cast([key[part] for key in keys], ARRAY(Text)) for part in (0, 1))
    pairs = func.unnest(threads, authors).table_valued("thread_key", "author_key").render_derived("pairs")
    same = and_(appeal.thread_key == pairs.c.thread_key, appeal.author_key == pairs.c.author_key)
    return select(appeal.id).select_from(pairs).join(appeal, same)


@dataclass
class LockedAppeals:
    """The appeals that a batch of messages may change, locked until the transaction ends.

    `last_numbers`: the last `matter_number` of each thread and author, read before their appeals were locked. If
    another transaction opens an appeal later, that appeal gets the next number, so a draft with this number
    collides.
    """

    appeals: dict[UUID, Appeal] = field(default_factory=dict)
    by_message: dict[UUID, UUID] = field(default_factory=dict)
    last_numbers: dict[ThreadAuthor, int] = field(default_factory=dict)
    _by_thread_author: dict[ThreadAuthor, list[Appeal]] = field(default_factory=dict)
    # The threads and authors of merged appeals, by the appeal that they were merged into.
    _merged_into: dict[UUID, set[ThreadAuthor]] = field(default_factory=dict)

    @staticmethod
    async def load(session: WriteSession, messages: Collection[Message]) -> "LockedAppeals":
        """Lock the appeals of these messages, all open appeals of their threads, and the answered or recently
        closed appeals of their authors in these threads.
        """
        locked = LockedAppeals()
        await locked.add(session, messages)
        return locked

    async def add(self, session: WriteSession, messages: Collection[Message]) -> None:
        """Lock the appeals that further messages may change.

        Locks taken in a later round may be out of id order; the deadlock that can follow is retried, as any other.
        """
        keys = {thread_author(message) for message in messages if not message.from_community}
        await self._read_last_numbers(session, keys)
        threads = {message.thread_key for message in messages}
        links, merged = await self._read_links(session, messages), await self._read_merged(session, threads)
        while True:
            self.by_message |= links
            self._set_merged(threads, merged)
            await self._lock_rows(session, threads, keys)
            # While this transaction waited for the locks, messages may have been split off, appeals merged or a
            # merge undone. Messages leave an appeal only under its lock, so links to locked appeals are final.
            before = links, merged
            links, merged = await self._read_links(session, messages), await self._read_merged(session, threads)
            if (links, merged) == before:
                return

    async def _read_links(self, session: WriteSession, messages: Collection[Message]) -> dict[UUID, UUID]:
        """Return the appeals of those messages that belong to one."""
        rows = await session.execute(
            select(AppealMessage.message_id, AppealMessage.appeal_id).where(
                is_one_of(AppealMessage.message_id, {message.id for message in messages})
            )
        )
        return {row.message_id: row.appeal_id for row in rows}

    async def _lock_rows(
        self, session: WriteSession, threads: Collection[str], keys: Collection[ThreadAuthor]
    ) -> None:
        # One statement in id order: two batches with the same appeals wait for each other instead of deadlocking.
        locked = await session.scalars(
            select(Appeal)
            .where(
                or_(
                    is_one_of(Appeal.id, {*self.by_message.values(), *self._merged_into}),
                    and_(is_one_of(Appeal.thread_key, threads), Appeal.status.in_(OPEN_APPEAL_STATUSES)),
                    and_(
                        Appeal.id == func.any(func.array(_of_authors(keys, aliased(Appeal)).scalar_subquery())),
                        or_(
                            Appeal.status == "answered",
                            # A closed appeal is included because its author may say that the matter is not solved.
                            and_(Appeal.status == "closed", Appeal.closed_at > clock.now() - REOPEN_WINDOW),
                        ),
                    ),
                )
            )
            .order_by(Appeal.id)
            .with_for_update()
            .execution_options(populate_existing=True)
        )
        for appeal in locked:
            self.register(appeal)

    async def _read_merged(
        self, session: WriteSession, threads: Collection[str]
    ) -> set[tuple[UUID, ThreadAuthor]]:
        rows = await session.execute(
            select(AppealMerge.into_id, AppealMerge.thread_key, AppealMerge.author_key).where(
                is_one_of(AppealMerge.thread_key, threads), AppealMerge.undone_at.is_(None)
            )
        )
        return {(into_id, (thread_key, author_key)) for into_id, thread_key, author_key in rows}

    def _set_merged(self, threads: Collection[str], merged: Collection[tuple[UUID, ThreadAuthor]]) -> None:
        for keys in self._merged_into.values():
            keys -= {key for key in keys if key[0] in threads}
        for into_id, key in merged:
            self._merged_into.setdefault(into_id, set()).add(key)

    async def _read_last_numbers(self, session: WriteSession, keys: Collection[ThreadAuthor]) -> None:
        rows = await session.execute(
            _of_authors(keys, Appeal)
            .with_only_columns(Appeal.thread_key, Appeal.author_key, func.max(Appeal.matter_number))
            .group_by(Appeal.thread_key, Appeal.author_key)
        )
        self.last_numbers |= dict.fromkeys(keys, 0)
        self.last_numbers |= {(row[0] or "", row[1] or ""): row[2] for row in rows}

    def register(self, appeal: Appeal) -> None:
        """Add an appeal that is already locked, for example one inserted in this transaction."""
        self.appeals[appeal.id] = appeal
        if appeal.thread_key is None or appeal.author_key is None:
            return
        key = (appeal.thread_key, appeal.author_key)
        for thread_author_key in {key, *self._merged_into.get(appeal.id, ())}:
            others = [one for one in self._by_thread_author.get(thread_author_key, ()) if one.id != appeal.id]
            self._by_thread_author[thread_author_key] = [*others, appeal]
        self.last_numbers[key] = max(self.last_numbers.get(key, 0), appeal.matter_number)

    def candidates(self, key: ThreadAuthor) -> list[Appeal]:
        """Return the appeals that a new message of this thread and author may belong to: the open appeals first,
        then the answered ones that changed within `REOPEN_WINDOW`, each last changed first.
        """
        since = clock.now() - REOPEN_WINDOW
        found = [
            appeal
            for appeal in self.of_author(key)
            if appeal.status not in FINAL_STATUSES and (appeal.status != "answered" or appeal.updated_at >= since)
        ]
        found.sort(key=lambda appeal: (appeal.updated_at, appeal.matter_number), reverse=True)
        return sorted(found, key=lambda appeal: appeal.status == "answered")

    def of_author(self, key: ThreadAuthor) -> list[Appeal]:
        """Return the locked appeals of this thread and author, in any status."""
        return [
            appeal
            for appeal in self._by_thread_author.get(key, ())
            if (appeal.thread_key, appeal.author_key) == key or key in self._merged_into.get(appeal.id, ())
        ]

    def organisation_ids(self) -> set[UUID]:
        """Return the ids of the organisations to which these appeals are assigned."""
        return {appeal.organisation_id for appeal in self.appeals.values() if appeal.organisation_id}

    def page_ids(self) -> set[UUID]:
        """Return the ids of the pages of these appeals. After a merge they may differ from the messages' pages."""
        return {appeal.page_id for appeal in self.appeals.values() if appeal.page_id}

    def in_thread(self, thread_key: str) -> list[Appeal]:
        """Return the open appeals of a thread, and the appeals into which an appeal of the thread was merged."""
        return [
            appeal
            for appeal in self.appeals.values()
            if appeal.status in OPEN_APPEAL_STATUSES
            and (
                appeal.thread_key == thread_key
                or any(thread == thread_key for thread, _ in self._merged_into.get(appeal.id, ()))
            )
        ]


def only_one(items: Iterable[Appeal]) -> Appeal | None:
    """Return the only item, or None if there is none or more than one."""
    values = list(items)
    return values[0] if len(values) == 1 else None
