"""Concurrent changes of the organisation tree."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from services.registry.organisations import names, organisations, successions
from services.registry.pages import page_steps, pages
from services.registry.schemas.organisations import OrganisationCreate, OrganisationNameCreate, OrganisationUpdate
from services.registry.schemas.pages import EvidenceKind, PageStepKind, PageUpdate
from services.registry.schemas.successions import SuccessionCreate
from shared.database.sessions import WriteSession
from tests.conftest import TestDatabase
from tests.integration.registry.conftest import make, misplaced, wait_until_blocked
from tests.support.service_under_test import ServiceUnderTest, insert_page

ACTOR = "centre"


async def bodies(registry: ServiceUnderTest, **parents: str | None) -> dict[str, UUID]:
    """Register organisations by name, each under the given parent (null: at the top); return their ids."""
    made: dict[str, UUID] = {}
    for name, parent in parents.items():
        under = None if parent is None else str(made[parent])
        made[name] = UUID((await make(registry, "/organisations", name=name, kind="other", parent_id=under))["id"])
    return made


async def move(session: WriteSession, organisation_id: UUID, parent_id: UUID | None) -> None:
    await organisations.change(session, organisation_id, OrganisationUpdate(parent_id=parent_id), None, ACTOR)


async def add(session: WriteSession, name: str, parent_id: UUID) -> None:
    await organisations.register(session, OrganisationCreate(name=name, kind="other", parent_id=parent_id), ACTOR)


@pytest.mark.parametrize("other", ["registers beneath it", "moves one beneath it"])
@pytest.mark.parametrize("to", ["top", None])
async def test_organisation_added_under_a_moving_parent_gets_the_new_lineage(
    registry: ServiceUnderTest, database: TestDatabase, to: str | None, other: str
) -> None:
    made = await bodies(registry, top=None, owner=None, moving="owner", leaf="moving", joining=None)

    async def comes() -> None:
        async with registry.service.database.write() as session:
            if other == "registers beneath it":
                await add(session, "new", made["leaf"])
            else:
                await move(session, made["joining"], made["leaf"])

    raw_connection = await database.connect()
    async with registry.service.database.write() as session:
        await move(session, made["moving"], made[to] if to else None)
        coming = asyncio.create_task(comes())
        waited = await wait_until_blocked(raw_connection, coming)
    await coming
    await raw_connection.close()
    assert await misplaced(database) == []
    assert waited


async def test_move_waits_for_a_concurrent_registration_of_a_child(
    registry: ServiceUnderTest, database: TestDatabase
) -> None:
    made = await bodies(registry, top=None, moving=None)

    async def moves() -> None:
        async with registry.service.database.write() as session:
            await move(session, made["moving"], made["top"])

    raw_connection = await database.connect()
    async with registry.service.database.write() as session:
        await add(session, "new", made["moving"])
        moving = asyncio.create_task(moves())
        waited = await wait_until_blocked(raw_connection, moving)
    await moving
    await raw_connection.close()
    assert await misplaced(database) == []
    assert waited


async def test_database_refuses_a_cycle(registry: ServiceUnderTest, database: TestDatabase) -> None:
    made = await bodies(registry, top=None, middle="top", leaf="middle")
    connection = await database.connect("registry")
    for parent in made.values():
        with pytest.raises(asyncpg.CheckViolationError):
            await connection.execute("UPDATE organisations SET parent_id = $1 WHERE id = $2", parent, made["top"])
    await connection.close()
    assert await misplaced(database) == []


async def succeed(session: WriteSession, body: UUID, _page: UUID) -> None:
    new = OrganisationCreate(name="Преемник", kind="other")
    successor = (await organisations.register(session, new, ACTOR)).id
    wanted = {
        "kind": "renamed",
        "effective_on": "2020-01-01",
        "successors": [{"organisation_id": str(successor)}],
    }
    await successions.record(session, body, SuccessionCreate.model_validate(wanted), ACTOR)


Change = Callable[[WriteSession, UUID, UUID], Awaitable[Any]]
CHANGES: dict[str, Change] = {
    "an organisation is changed": lambda session, body, _page: organisations.change(
        session, body, OrganisationUpdate(phone="+7 3012 55-55-55"), None, ACTOR
    ),
    "it gets another name": lambda session, body, _page: names.add(
        session, body, OrganisationNameCreate(kind="alias", name="Прежняя"), ACTOR
    ),
    "it is succeeded": succeed,
    "its page is changed": lambda session, _body, page: pages.change(
        session, page, PageUpdate(name="Другая"), None, ACTOR
    ),
    "its page reaches a step": lambda session, _body, page: page_steps.confirm(
        session, page, PageStepKind.VERIFIED, page_steps.Evidence(kind=EvidenceKind.MANUAL, confirmed_by=ACTOR)
    ),
}


@pytest.mark.parametrize("what", CHANGES)
async def test_tree_changes_do_not_block_foreign_key_checks(
    registry: ServiceUnderTest, database: TestDatabase, what: str
) -> None:
    body = (await bodies(registry, school=None))["school"]
    page = await insert_page(database, body)
    other = await database.connect()
    async with registry.service.database.write() as session:
        await CHANGES[what](session, body, page)
        # A foreign key check takes this lock when a referring row is written; it must not wait here.
        await other.execute("SELECT FROM organisations WHERE id = $1 FOR KEY SHARE NOWAIT", body)
        await other.execute("SELECT FROM pages WHERE id = $1 FOR KEY SHARE NOWAIT", page)
    await other.close()
