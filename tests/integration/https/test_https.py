"""HTTPS as a region runs it: the real Traefik, a certificate of the region's own authority, and real clients."""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from cli.embedded.programs import traefik_program
from cli.embedded.temporary_postgres import free_port
from services.gateway.traefik.entry_point_settings import EntryPointSettings
from services.gateway.traefik.static_config import static_config
from services.registry.access import people
from services.registry.authentication import throttle
from tests.conftest import TestDatabase
from tests.support.certificates import Authority, make_authority
from tests.support.eventually import eventually
from tests.support.served_app import served
from tests.support.service_under_test import ServiceUnderTest, service_under_test

# The only trusted proxy; a client that does not use it connects from another loopback address.
PROXY, ELSEWHERE = "127.0.0.1", "127.0.0.2"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("authority"))


@dataclass
class Region:
    """The gateway with HTTPS, in front of the registry."""

    url: str
    plain: str
    authority: Authority

    def client(self, tls: ssl.SSLContext | None = None, *, source_address: str = PROXY) -> aiohttp.ClientSession:
        """Return a client with its own connections; without `tls` it trusts only the region's authority."""
        connector = aiohttp.TCPConnector(ssl=tls or self.authority.client(), local_addr=(source_address, 0))
        return aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=30))

    async def sign_in(
        self, http: aiohttp.ClientSession, name: str = "centre", password: str = "demo", **headers: str
    ) -> tuple[int, dict[str, str]]:
        form = {"grant_type": "password", "username": name, "password": password}
        async with http.post(f"{self.url}/api/v1/auth/token", data=form, headers=headers) as response:
            return response.status, await response.json()

    async def seen_address(self, http: aiohttp.ClientSession, **headers: str) -> str:
        """Return the address that the services see for a client that sends these headers."""
        status, signed = await self.sign_in(http, **headers)
        assert status == 200, signed
        bearer = {"Authorization": f"Bearer {signed['access_token']}"}
        async with http.get(f"{self.url}/api/v1/me/sessions", headers=bearer) as response:
            return str(next(one["ip_address"] for one in (await response.json())["items"] if one["current"]))


@asynccontextmanager
async def _gateway(registry: ServiceUnderTest, authority: Authority, folder: Path) -> AsyncIterator[Region]:
    authority.issue(folder)
    port, plain, admin = free_port(), free_port(), free_port()
    entry_point = EntryPointSettings(
        public_url=f"https://127.0.0.1:{port}", tls="files", tls_folder=folder, trusted_proxies=PROXY
    )
    static = folder / "traefik.yml"
    static.write_text(
        static_config(
            public_address=f"127.0.0.1:{port}",
            plain_address=f"127.0.0.1:{plain}",
            internal_address=f"127.0.0.1:{free_port()}",
            admin_address=f"127.0.0.1:{admin}",
            entry_point=entry_point,
        ),
        encoding="utf-8",
    )
    async with served(registry.client._transport.app) as url:  # type: ignore[attr-defined]
        names = ("registry", "ingest", "appeals", "metrics", "webhooks", "console", "gateway_service")
        environment = {f"GOSPABLIK_{name.upper()}_URL": url for name in names}
        environment |= {"GOSPABLIK_TLS": "files", "GOSPABLIK_TLS_FOLDER": str(folder)}
        with (folder / "traefik.log").open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                traefik_program(),
                f"--configFile={static}",
                env=os.environ | environment,
                stdout=output,
                stderr=output,
            )
        region = Region(f"https://127.0.0.1:{port}", f"http://127.0.0.1:{plain}", authority)
        try:
            async with region.client() as http:
                await eventually(lambda: _answers(http, f"{region.url}/api/v1/me"), "the gateway")
            yield region
        finally:
            process.kill()  # it would otherwise wait for idle connections
            await process.wait()


async def _answers(http: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with http.get(url) as response:
            return response.status == 401
    except aiohttp.ClientConnectionError:
        return False


@pytest.fixture
async def region(
    database: TestDatabase, keys_dir: Path, authority: Authority, tmp_path: Path
) -> AsyncIterator[Region]:
    async with service_under_test("registry", database, keys_dir, trusted_proxies=PROXY) as registry:
        async with registry.service.database.write() as session:
            await people.ensure_demo_people(session)
        async with _gateway(registry, authority, tmp_path) as found:
            yield found


async def test_client_that_trusts_the_regions_authority_signs_in_and_reads(region: Region) -> None:
    async with region.client() as http:
        status, signed = await region.sign_in(http)
        assert status == 200
        bearer = {"Authorization": f"Bearer {signed['access_token']}"}
        async with http.get(f"{region.url}/api/v1/me", headers=bearer) as response:
            assert (await response.json())["person"]["name"] == "Модератор центра"
            assert response.headers["Strict-Transport-Security"] == "max-age=31536000"
    async with region.client(ssl.create_default_context()) as http:
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await http.get(f"{region.url}/api/v1/me")


async def test_plain_http_is_redirected_and_reaches_no_service(region: Region) -> None:
    async with region.client() as http:
        for method, status in (("GET", 301), ("POST", 308)):
            path = "/api/v1/auth/token?x=1"
            async with http.request(method, region.plain + path, allow_redirects=False) as response:
                assert (response.status, response.headers["Location"]) == (status, region.url + path)
                assert "Strict-Transport-Security" not in response.headers


async def test_address_of_a_client_behind_a_trusted_proxy_is_taken_from_the_proxy(region: Region) -> None:
    async with region.client() as http:
        headers = {"X-Forwarded-For": "198.51.100.7"}
        assert await region.seen_address(http, **headers) == "198.51.100.7"
        # Other headers, and an address that the client sent before the proxy appended one, change nothing.
        headers = {"X-Forwarded-For": "203.0.113.9, 198.51.100.7", "X-Real-Ip": "203.0.113.9"}
        assert await region.seen_address(http, **headers) == "198.51.100.7"
        assert await region.seen_address(http) == PROXY


async def test_forged_address_of_a_client_without_the_proxy_is_ignored(region: Region) -> None:
    forged = ("X-Forwarded-For", "X-Real-Ip", "X_Forwarded_For", "Forwarded")
    async with region.client(source_address=ELSEWHERE) as http:
        assert await region.seen_address(http, **dict.fromkeys(forged, "198.51.100.7")) == ELSEWHERE
        # An attacker who claims a different address each time is throttled as one client.
        for number in range(throttle.MAX_FAILURES_PER_NAME_AND_ADDRESS):
            headers = dict.fromkeys(forged, f"203.0.113.{number}")
            assert (await region.sign_in(http, "ops", "guess", **headers))[1]["error"] == "invalid_grant"
        _, refused = await region.sign_in(http, "ops", **{"X-Forwarded-For": "203.0.113.200"})
        assert refused["error"] == "temporarily_unavailable"
    async with region.client() as http:
        _, refused = await region.sign_in(http, "ops", **{"X-Forwarded-For": ELSEWHERE})
        assert refused["error"] == "temporarily_unavailable"
        assert (await region.sign_in(http, "ops", **{"X-Forwarded-For": "203.0.113.200"}))[0] == 200
