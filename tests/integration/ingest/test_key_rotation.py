"""Rotation of the encryption key, and schedule state over a restart."""

from dataclasses import replace
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from cryptography.fernet import Fernet, InvalidToken
from sqlalchemy import select

from services.ingest.erasure.requests import request_erasure
from services.ingest.intake.store import DatabaseIntakeStore
from services.ingest.networks.port import Author, IncomingItem, PageRef, ParsedBatch
from services.ingest.polling.poll_schedule import PollSchedule
from services.ingest.polling.rate_repository import RateRepository
from services.ingest.pseudonymisation.author_keys import author_key
from services.ingest.pseudonymisation.key_check import PseudonymKeyChangedError, newest_author
from services.ingest.schemas.tokens import NetworkTokenIn
from services.ingest.tokens.reencryption import reencrypt
from services.ingest.tokens.token_admin import add_token
from shared import clock
from shared.jobs import JobQueue
from shared.tables import ingest as tables
from tests.conftest import TestDatabase
from tests.integration.data_growth.query_plans import MODES, explain
from tests.integration.ingest.conftest import KEYS
from tests.support.service_under_test import insert_organisation, insert_page, service_under_test

OLD = KEYS["ENCRYPTION_KEYS"]


async def _comment_of_a_citizen(database: TestDatabase) -> tuple[PageRef, IncomingItem]:
    organisation = await insert_organisation(database)
    page_id = await insert_page(database, organisation, network="vk", external_id="101")
    page = PageRef(
        id=page_id, organisation_id=organisation, network="vk", external_id="101", go_live_at=clock.now()
    )
    return page, IncomingItem(
        change="new",
        kind="comment",
        external_id="-101_1",
        thread_key="vk:-101_1",
        written_at=clock.now(),
        raw={},
        author=Author(native_id="5", name="Имя"),
        text="Слова",
    )


async def test_all_secrets_are_reencrypted_with_new_key(database: TestDatabase, keys_dir: Path) -> None:
    page, words = await _comment_of_a_citizen(database)
    async with service_under_test("ingest", database, keys_dir, process="api", **KEYS) as ingest:
        async with ingest.service.database.write() as session:
            await add_token(
                session, NetworkTokenIn.model_validate({"network": "vk", "kind": "user", "token": "abc"}), "test"
            )
        await DatabaseIntakeStore(ingest.service.database).store(page, "long_poll", ParsedBatch([words]))
        async with ingest.service.database.write() as session:
            (author_key,) = await session.scalars(select(tables.Author.author_key))
            await request_erasure(
                session, JobQueue("ingest"), author_key, ground="other", reference="17", requested_by="test"
            )
    new = Fernet.generate_key().decode()
    async with service_under_test(
        "ingest", database, keys_dir, process="api", **(KEYS | {"ENCRYPTION_KEYS": f"{new},{OLD}"})
    ) as ingest:
        assert await reencrypt(ingest.service.database) == 3
        assert await reencrypt(ingest.service.database) == 0
    raw_connection = await database.connect()
    token, identity = (
        await raw_connection.fetchval("SELECT secret FROM network_tokens"),
        await raw_connection.fetchval("SELECT identity FROM authors"),
    )
    # The worker did not run: the erasure still needs the person.
    subject = await raw_connection.fetchval("SELECT subject FROM erasures WHERE status = 'queued'")
    await raw_connection.close()
    assert b'"abc"' in Fernet(new).decrypt(token)
    assert "Имя" in Fernet(new).decrypt(identity).decode()
    assert author_key in Fernet(new).decrypt(subject).decode()
    with pytest.raises(InvalidToken):
        Fernet(OLD).decrypt(token)


async def test_service_does_not_start_with_another_pseudonym_key(database: TestDatabase, keys_dir: Path) -> None:
    page, words = await _comment_of_a_citizen(database)
    another = KEYS | {"PSEUDONYM_KEY": "another-key-of-the-tests"}
    async with service_under_test("ingest", database, keys_dir, process="api", **another):
        pass  # nobody has written yet: the key may still be replaced
    async with service_under_test("ingest", database, keys_dir, process="api", **KEYS) as ingest:
        await DatabaseIntakeStore(ingest.service.database).store(page, "long_poll", ParsedBatch([words]))
    for process in ("api", "worker"):
        with pytest.raises(PseudonymKeyChangedError, match="GOSPABLIK_PSEUDONYM_KEY"):
            async with service_under_test("ingest", database, keys_dir, process=process, **another):
                pass
    lost = {"ENCRYPTION_KEYS": Fernet.generate_key().decode()}
    for known in (KEYS, KEYS | lost):
        async with service_under_test("ingest", database, keys_dir, process="api", **known) as ingest:
            assert (await ingest.client.get("/health/live")).status_code == 200


async def test_newest_author_is_found_by_indexes(database: TestDatabase, keys_dir: Path) -> None:
    """Not by reading all authors at each start."""
    page, words = await _comment_of_a_citizen(database)
    older = replace(
        words, external_id="-101_2", thread_key="vk:-101_2", author=Author(native_id="6", name="Другой")
    )
    async with service_under_test("ingest", database, keys_dir, process="api", **KEYS) as ingest:
        store = DatabaseIntakeStore(ingest.service.database)
        for item in (older, words):
            await store.store(page, "long_poll", ParsedBatch([item]))
        async with ingest.service.database.read() as session:
            found = await newest_author(session)
            assert found is not None
            assert found.author_key == author_key("vk", "5")
        for mode in MODES:
            plans = await explain(ingest.service.database, newest_author, mode, {"enable_seqscan": "off"})
            (plan,) = plans.plans
            assert plan.sequential == ()
            assert plan.indexes == {"ix_messages_received_at_id", "pk_authors"}
            assert plan.sorted_rows == 0
    # An author of a former key, who wrote before, does not stop the service.
    owner = await database.connect("gospablik_owner")
    await owner.execute(
        "UPDATE authors SET author_key = 'former', created_at = now() + interval '1 day' WHERE author_key ="
        " (SELECT author_key FROM messages WHERE external_id = '-101_2')"
    )
    await owner.execute("UPDATE messages SET author_key = 'former' WHERE external_id = '-101_2'")
    await owner.close()
    async with service_under_test("ingest", database, keys_dir, process="api", **KEYS) as ingest:
        assert (await ingest.client.get("/health/live")).status_code == 200


async def test_undecryptable_secret_is_left_unchanged(database: TestDatabase, keys_dir: Path) -> None:
    async with service_under_test("ingest", database, keys_dir, process="api", **KEYS) as ingest:
        async with ingest.service.database.write() as session:
            await add_token(
                session, NetworkTokenIn.model_validate({"network": "vk", "kind": "user", "token": "abc"}), "test"
            )
        raw_connection = await database.connect()
        await raw_connection.execute("UPDATE network_tokens SET secret = 'broken'")
        assert await reencrypt(ingest.service.database) == 0
        assert await raw_connection.fetchval("SELECT secret FROM network_tokens") == b"broken"
        await raw_connection.close()


async def test_schedule_state_survives_restart(database: TestDatabase, keys_dir: Path) -> None:
    organisation = await insert_organisation(database)
    page_id = await insert_page(database, organisation, network="vk", external_id="101")
    start = clock.now().timestamp()
    async with service_under_test("ingest", database, keys_dir, process="api", **KEYS) as ingest:
        book, schedule = RateRepository(ingest.service.database, "wall_poll"), PollSchedule[UUID](1_000)
        assert await book.load() == {}
        schedule.add(page_id)
        for hour in range(5):
            assert schedule.next_page(start + hour * 3_600) == page_id
            schedule.record_poll(page_id, start + hour * 3_600, [start + hour * 3_600 - 60] * 3)
            book.mark_changed(page_id)
        book.mark_changed(uuid4())
        await book.save(schedule)
        await book.save(schedule)
        again = PollSchedule[UUID](1_000)
        for known, state in (await RateRepository(ingest.service.database, "wall_poll").load()).items():
            again.add(known, state)
        assert again.page_forecast(page_id).last_at == schedule.page_forecast(page_id).last_at
        assert again.dump(page_id)["seen"] == schedule.dump(page_id)["seen"]
        assert await RateRepository(ingest.service.database, "another_source").load() == {}
