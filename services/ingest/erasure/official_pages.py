"""Recognise official pages among authors: a page that writes on another page is an author, but not a citizen."""

from sqlalchemy import ARRAY, ColumnElement, Text, cast, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.ingest.networks.catalogue import NETWORKS
from services.ingest.pseudonymisation.author_keys import author_key
from services.ingest.pseudonymisation.people_in_payloads import number_of
from services.ingest.tokens.crypto import decrypt
from shared.tables.ingest import Author, Message
from shared.tables.registry import Page


async def belongs_to_page(session: AsyncSession, key: str) -> bool:
    """Return whether an official page has this author key: a registered one, or one with stored messages."""
    official = select(Message.id).where(Message.author_key == key, Message.from_community)
    if await session.scalar(select(official.exists())):
        return True
    author = await session.get(Author, key)
    if author is None:
        return False
    native_id = decrypt(author.identity)["id"]
    pages = await session.scalars(
        select(Page.external_id).where(
            Page.network == author.network, Page.external_id == number_of(native_id).removeprefix("-")
        )
    )
    return any(NETWORKS[author.network].page_author_id(external_id) == native_id for external_id in pages)


async def is_not_page(session: AsyncSession) -> ColumnElement[bool]:
    """Return the SQL condition that an author is not an official page, for a query of many authors."""
    rows = await session.execute(select(Page.network, Page.external_id))
    registered = [
        author_key(network, NETWORKS[network].page_author_id(external_id)) for network, external_id in rows
    ]
    # An anti-join: with NOT IN, Postgres could compare each author with thousands of keys one by one.
    keys = func.unnest(cast(registered, ARRAY(Text))).column_valued("page_key")
    official = select(Message.id).where(Message.author_key == Author.author_key, Message.from_community)
    return ~select(keys).where(keys == Author.author_key).exists() & ~official.exists()
