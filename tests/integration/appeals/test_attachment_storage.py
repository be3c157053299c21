"""Storage of attachments, in a folder and in a bucket of a real S3 server."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import aiohttp
import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy.exc import IntegrityError

from services.appeals.attachments import images, s3_storage, uploads
from services.appeals.attachments.file_storage import FolderStorage, file_storage
from services.appeals.attachments.s3_storage import S3Storage
from services.appeals.attachments.storage_port import (
    StorageMisconfigured,
    StorageUnavailable,
    file_name,
    id_of,
)
from services.appeals.settings import S3Bucket
from shared import clock
from shared.auth import tokens
from shared.auth.callers import Caller
from shared.auth.rights import Role
from shared.ids import new_id
from shared.service_client import ServiceClient, ServiceUnavailable
from tests.conftest import TestDatabase
from tests.integration.appeals.attachment_helpers import (
    PATH,
    headers,
    http_client,
    stored_ids,
    upload,
    uploaded,
)
from tests.integration.appeals.conftest import AppealsScenario, build_scenario
from tests.integration.appeals.reply_helpers import appeal, draft
from tests.support import s3_server as keys
from tests.support.eventually import eventually_true
from tests.support.fault_proxy import Fault, FaultProxy, fault_proxy
from tests.support.s3_server import S3Server, s3_server, s3_settings
from tests.support.sample_images import jpeg
from tests.support.service_under_test import CENTRE_SUBJECT, service_under_test

pytestmark = pytest.mark.usefixtures("images_in_process")
PHOTO = jpeg(1_600, 1_200)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A real S3 server."""
    with s3_server(tmp_path_factory.mktemp("s3")) as running:
        yield running


@asynccontextmanager
async def running_scenario(
    database: TestDatabase, keys_dir: Path, **settings: str
) -> AsyncIterator[AppealsScenario]:
    ingest = await database.connect("ingest")
    try:
        async with service_under_test("appeals", database, keys_dir, process="api", **settings) as appeals:
            yield await build_scenario(database, appeals, ingest)
    finally:
        await ingest.close()


@pytest.fixture(params=["folder", "s3"])
async def scenario(
    request: pytest.FixtureRequest, database: TestDatabase, keys_dir: Path
) -> AsyncIterator[AppealsScenario]:
    """The running service, which stores attachments in a folder or in S3."""
    settings = request.getfixturevalue("server").settings if request.param == "s3" else {}
    async with running_scenario(database, keys_dir, **settings) as made:
        assert isinstance(file_storage(), S3Storage if request.param == "s3" else FolderStorage)
        yield made


@pytest.fixture
async def http(scenario: AppealsScenario) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the service behind a real HTTP server."""
    async with http_client(scenario) as client:
        yield client


async def test_photo_is_stored_under_its_id_and_read_back(
    scenario: AppealsScenario, http: httpx.AsyncClient
) -> None:
    made = await uploaded(scenario, http, PHOTO)
    read = await http.get(f"{PATH}/{made['id']}", headers=headers(scenario))
    assert (read.status_code, len(read.content)) == (200, made["size"])
    assert await file_storage().read(UUID(made["id"])) == read.content
    assert (await http.get("/health/ready")).json() == {"status": "pass", "checks": {}}


async def test_missing_or_changed_file_is_not_found(scenario: AppealsScenario, http: httpx.AsyncClient) -> None:
    made = await uploaded(scenario, http, jpeg())
    await file_storage().write(UUID(made["id"]), b"changed")
    assert (await http.get(f"{PATH}/{made['id']}", headers=headers(scenario))).status_code == 404
    await file_storage().delete(UUID(made["id"]))
    assert (await http.get(f"{PATH}/{made['id']}", headers=headers(scenario))).status_code == 404


async def test_upload_to_an_unusable_folder_gets_503_and_leaves_no_row(
    database: TestDatabase, keys_dir: Path, tmp_path: Path
) -> None:
    async with running_scenario(database, keys_dir, attachments_dir=str(tmp_path)) as scenario:
        for number in range(256):
            (tmp_path / f"{number:02x}").touch()  # a file where the subfolder should be
        async with http_client(scenario) as http:
            answer = await upload(scenario, http, jpeg())
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5"), answer.text
        assert await scenario.ingest.fetchval("SELECT count(*) FROM attachments") == 0


async def test_upload_beyond_the_limit_of_unattached_files_is_refused(
    scenario: AppealsScenario, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "MAX_UNATTACHED", 1)
    made = await uploaded(scenario, http, jpeg())
    assert (await upload(scenario, http, jpeg())).status_code == 409
    await draft(scenario, await appeal(scenario), attachments=[made["id"]])
    assert (await upload(scenario, http, jpeg())).status_code == 201


async def test_unattached_upload_expires_with_its_file_and_attached_upload_stays(
    scenario: AppealsScenario, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, unused = [await uploaded(scenario, http, jpeg()) for _ in range(2)]
    await draft(scenario, await appeal(scenario), attachments=[kept["id"]])
    await scenario.handle_schedule("purge")
    await scenario.handle_schedule("remove-orphan-files")
    assert {UUID(kept["id"]), UUID(unused["id"])} <= await stored_ids()
    later = clock.now() + timedelta(days=4)
    monkeypatch.setattr("shared.clock.now", lambda: later)
    await scenario.handle_schedule("purge")
    await scenario.handle_schedule("remove-orphan-files")
    files = await stored_ids()
    assert (UUID(kept["id"]) in files, UUID(unused["id"]) in files) == (True, False)
    rows = await scenario.ingest.fetch("SELECT id FROM attachments")
    assert [row["id"] for row in rows] == [UUID(kept["id"])]


async def test_file_without_a_row_is_removed_after_a_day(
    scenario: AppealsScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    database, storage = scenario.appeals.service.database, file_storage()
    unknown = Caller(subject=CENTRE_SUBJECT, name="", role=Role.EXECUTOR, organisation_id=uuid4())
    before = await stored_ids()
    with pytest.raises(IntegrityError):
        async with database.write() as session:
            await uploads.store_upload(session, storage, unknown, images.CleanImage(jpeg(), 64, 48), "a.jpg")
    (orphan,) = await stored_ids() - before
    await uploads.remove_orphan_files(database, storage)
    assert orphan in await stored_ids(), "it may belong to a running upload"
    later = clock.now() + timedelta(days=2)
    monkeypatch.setattr("shared.clock.now", lambda: later)
    await uploads.remove_orphan_files(database, storage)
    assert orphan not in await stored_ids()


def bucket(port: int, **changed: str) -> S3Bucket:
    """Return the settings of a bucket on the server at this port; `changed` replaces some of them."""
    found = s3_settings(port, **changed)
    return S3Bucket(
        endpoint=found["attachments_s3_endpoint"],
        name=found["attachments_s3_bucket"],
        region=found["attachments_s3_region"],
        key_id=found["attachments_s3_key_id"],
        secret=SecretStr(found["attachments_s3_secret"]),
    )


@pytest.mark.parametrize(
    ("changed", "setting", "said"),
    [
        ({"secret": "wrong"}, "SECRET", "SignatureDoesNotMatch"),
        ({"key_id": "nobody"}, "KEY_ID", "InvalidAccessKeyId"),
        ({"key_id": keys.READER_KEY_ID, "secret": keys.READER_SECRET}, "KEY_ID", "not stored: 403 AccessDenied"),
        ({"bucket": "absent", "key_id": keys.ADMIN_KEY_ID, "secret": keys.ADMIN_SECRET}, "BUCKET", "NoSuchBucket"),
    ],
    ids=["wrong secret", "unknown key", "key that may not write", "no bucket"],
)
async def test_invalid_s3_setting_is_named_and_the_service_does_not_start(
    server: S3Server,
    database: TestDatabase,
    keys_dir: Path,
    capsys: pytest.CaptureFixture[str],
    *,
    changed: dict[str, str],
    setting: str,
    said: str,
) -> None:
    settings = s3_settings(server.port, **changed)
    with pytest.raises(StorageMisconfigured, match=f"^GOSPABLIK_ATTACHMENTS_S3_{setting}: .*{said}"):
        async with service_under_test("appeals", database, keys_dir, process="api", **settings):
            pass
    logged = capsys.readouterr()
    assert f"GOSPABLIK_ATTACHMENTS_S3_{setting}" in logged.out
    assert settings["attachments_s3_secret"] not in (logged.out + logged.err).replace(said, "")


async def test_reprs_and_errors_of_the_storage_contain_no_secret(server: S3Server) -> None:
    given = bucket(server.port)
    storage = S3Storage(given)
    with pytest.raises(StorageUnavailable) as failed:
        await S3Storage(bucket(server.port, secret="wrong-secret")).check()
    texts = (repr(given), repr(storage._store), repr(storage._store.config), str(failed.value))
    assert not [text for text in texts if given.secret.get_secret_value() in text or "wrong-secret" in text]


async def test_aws_environment_variables_do_not_change_the_storage(
    server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ENDPOINT", "ENDPOINT_URL", "ENDPOINT_URL_S3"):
        monkeypatch.setenv(f"AWS_{name}", "http://127.0.0.1:1")
    for name in ("BUCKET", "REGION", "SESSION_TOKEN", "ACCESS_KEY_ID", "SECRET_ACCESS_KEY"):
        monkeypatch.setenv(f"AWS_{name}", "other")
    monkeypatch.setenv("AWS_SKIP_SIGNATURE", "true")
    await S3Storage(bucket(server.port)).check()


@pytest.fixture
async def proxy(server: S3Server) -> AsyncIterator[FaultProxy]:
    """A proxy in front of the S3 server."""
    async with fault_proxy(server.port) as running:
        yield running


@pytest.fixture
def short_timeouts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the timeouts and retry pauses of the S3 storage."""
    monkeypatch.setattr(s3_storage, "REQUEST_TIMEOUT", timedelta(seconds=1))
    monkeypatch.setattr(s3_storage, "RETRY_TIMEOUT", timedelta(seconds=5))
    monkeypatch.setattr(s3_storage, "FIRST_PAUSE", timedelta(milliseconds=1))


@dataclass(frozen=True)
class Behind:
    """The running service, which reaches its S3 server through the fault proxy."""

    scenario: AppealsScenario
    http: httpx.AsyncClient


@pytest.fixture
async def behind(
    proxy: FaultProxy, short_timeouts: None, database: TestDatabase, keys_dir: Path
) -> AsyncIterator[Behind]:
    async with (
        running_scenario(database, keys_dir, **s3_settings(proxy.port)) as scenario,
        http_client(scenario) as http,
    ):
        yield Behind(scenario, http)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("refuse", "the connection is refused"),
        pytest.param("hang", "no answer in time", marks=pytest.mark.long),
        ("slow_down", "503 SlowDown"),
    ],
)
async def test_requests_get_503_during_an_s3_outage_and_no_file_is_lost(
    behind: Behind, proxy: FaultProxy, capsys: pytest.CaptureFixture[str], *, fault: Fault, said: str
) -> None:
    scenario, http = behind.scenario, behind.http
    kept = await uploaded(scenario, http, jpeg())
    await draft(scenario, await appeal(scenario), attachments=[kept["id"]])
    before = await stored_ids()
    await proxy.set(fault)
    path = f"/internal/attachments/{kept['id']}"
    token = scenario.appeals.service_token("ingest", tokens.route_claim("GET", path))
    for answer in (
        await upload(scenario, http, jpeg(600, 400)),
        await http.get(f"{PATH}/{kept['id']}", headers=headers(scenario)),
        await http.get(path, headers={"Authorization": f"Bearer {token}"}),
    ):
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5"), answer.text
        assert answer.json()["type"] == "/problems/unavailable"
        assert "storage of attachments does not answer" in answer.json()["detail"]
        assert "127.0.0.1" not in answer.text
    ready = await http.get("/health/ready")
    assert (ready.status_code, ready.json()["status"]) == (200, "warn")
    assert set(ready.json()["checks"]) == {"attachments"}
    logged = capsys.readouterr().out
    assert said in logged
    assert keys.SECRET not in logged
    assert await scenario.ingest.fetchval("SELECT count(*) FROM attachments") == 1
    await proxy.set(None)
    assert (await http.get("/health/ready")).json()["status"] == "pass"
    assert await stored_ids() == before, "no file was stored in part"
    read = await http.get(f"{PATH}/{kept['id']}", headers=headers(scenario))
    assert (read.status_code, len(read.content)) == (200, kept["size"])
    await uploaded(scenario, http, jpeg())


@pytest.mark.parametrize("fault", ["hang", "slow_down", "cut"])
async def test_short_s3_fault_is_retried_without_an_error(
    proxy: FaultProxy, short_timeouts: None, *, fault: Fault
) -> None:
    storage, file_id = S3Storage(bucket(proxy.port)), new_id()
    await proxy.set(fault, requests=1)
    await storage.write(file_id, PHOTO)
    assert proxy.requests == 1
    await proxy.set(fault, requests=1)
    assert await storage.read(file_id) == PHOTO
    assert proxy.requests == 1


async def test_transfer_that_is_cut_off_neither_stores_nor_returns_a_part_of_a_file(
    proxy: FaultProxy, short_timeouts: None
) -> None:
    storage, kept, lost = S3Storage(bucket(proxy.port)), new_id(), new_id()
    await storage.write(kept, PHOTO)
    await proxy.set("cut")
    with pytest.raises(StorageUnavailable, match="not stored"):
        await storage.write(lost, PHOTO)
    with pytest.raises(StorageUnavailable, match="not read"):
        await storage.read(kept)
    await proxy.set(None)
    assert (await storage.read(kept), await storage.read(lost)) == (PHOTO, None)


async def test_retries_of_s3_are_bounded(proxy: FaultProxy, short_timeouts: None) -> None:
    await proxy.set("slow_down")
    with pytest.raises(StorageUnavailable, match="503 SlowDown"):
        await S3Storage(bucket(proxy.port)).write(new_id(), b"content")
    assert proxy.requests == 1 + s3_storage.MAX_RETRIES


async def test_ingest_waits_for_a_photo_during_an_outage_and_reads_it_afterwards(
    behind: Behind, proxy: FaultProxy
) -> None:
    scenario = behind.scenario
    made = await uploaded(scenario, behind.http, jpeg())
    await draft(scenario, await appeal(scenario), attachments=[made["id"]])
    signer = tokens.Signer("ingest", tokens.read_key(scenario.appeals.keys_dir / "ingest.jwk"))
    settings = scenario.appeals.service.settings.model_copy(update={"appeals_url": str(behind.http.base_url)})
    async with aiohttp.ClientSession() as session:
        client = ServiceClient("ingest", signer, settings, session)

        async def read() -> bytes:
            path = f"/internal/attachments/{made['id']}"
            return await client.get_file("appeals", path, on_behalf_of="someone", max_bytes=10**7, attempts=1)

        await proxy.set("refuse")
        # The error must not be `ServiceRejected`, after which the publication would not be retried.
        with pytest.raises(ServiceUnavailable):
            await read()
        await proxy.set(None)
        assert len(await read()) == made["size"]


async def test_missing_bucket_is_an_outage_and_not_a_missing_file(server: S3Server) -> None:
    absent = bucket(server.port, bucket="absent", key_id=keys.ADMIN_KEY_ID, secret=keys.ADMIN_SECRET)
    with pytest.raises(StorageUnavailable, match="NoSuchBucket"):
        await S3Storage(absent).read(new_id())
    assert await S3Storage(bucket(server.port)).read(new_id()) is None


async def test_s3_outage_at_the_start_does_not_stop_the_service(
    proxy: FaultProxy,
    short_timeouts: None,
    database: TestDatabase,
    keys_dir: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    await proxy.set("refuse")
    async with running_scenario(database, keys_dir, **s3_settings(proxy.port)) as scenario:
        assert "GOSPABLIK_ATTACHMENTS_S3_ENDPOINT: " in capsys.readouterr().out
        await appeal(scenario)
        assert (await scenario.appeals.client.get("/health/ready")).json()["status"] == "warn"
        await proxy.set(None)
        assert (await scenario.appeals.client.get("/health/ready")).json()["status"] == "pass"


async def test_request_that_waits_for_storage_holds_no_database_connection(
    proxy: FaultProxy, database: TestDatabase, keys_dir: Path
) -> None:
    async with (
        running_scenario(database, keys_dir, **s3_settings(proxy.port)) as scenario,
        http_client(scenario) as http,
    ):
        made = await uploaded(scenario, http, jpeg())
        await proxy.set("hang")
        waiting = asyncio.gather(
            *(upload(scenario, http, jpeg()) for _ in range(6)),
            *(http.get(f"{PATH}/{made['id']}", headers=headers(scenario)) for _ in range(6)),
        )
        await eventually_true(lambda: proxy.hanging == 12, "all wait for the storage")
        pool = scenario.appeals.service.database.engine.pool
        assert pool.checkedout() == 0  # type: ignore[attr-defined]
        await proxy.set(None)
        assert {answer.status_code for answer in await waiting} == {200, 201}


async def test_files_on_several_list_pages_are_listed_and_removed_as_orphans(
    server: S3Server, scenario: AppealsScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_storage, "LISTED_AT_ONCE", 3)
    monkeypatch.setattr(uploads, "LOOKED_UP_AT_ONCE", 2)
    storage = file_storage()
    added = [new_id() for _ in range(8)]
    for file_id in added:
        await storage.write(file_id, b"content")
    assert set(added) <= await stored_ids()
    later = clock.now() + timedelta(days=2)
    monkeypatch.setattr("shared.clock.now", lambda: later)
    assert await uploads.remove_orphan_files(scenario.appeals.service.database, storage) >= len(added)
    assert await stored_ids() == set()


@pytest.mark.parametrize("name", ["x.jpg", "{id}.jpg", "00/{id}.jpg", "backup/{name}", "{name}.txt", "{name}/x"])
def test_file_name_of_another_form_has_no_id(name: str) -> None:
    file_id = UUID("0193f0a4-7c11-7d0e-9d5b-3f1f5a4f2b11")
    assert id_of(file_name(file_id)) == file_id
    assert id_of(name.format(id=file_id, name=file_name(file_id))) is None
