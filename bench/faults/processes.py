"""The system of a run: Postgres, both emulators, ingest's API and its worker, each in its own process."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
from cryptography.fernet import Fernet

from bench.faults.fault_plan import clock_shifts
from cli.deployment import provisioning as bootstrap
from cli.deployment.signing_keys import ensure_keys
from cli.embedded import postgres
from cli.embedded.data_dir import DataDir
from cli.embedded.temporary_postgres import TEST_PASSWORD, free_port, migrate
from shared.auth import tokens

TOKEN_FIELDS = {"kind", "token", "application_key", "application_secret_key", "session_secret_key"}
# All waits are short, so that a run takes minutes.
INGEST = {
    "GOSPABLIK_PAGE_REFRESH_SECONDS": "1",
    "GOSPABLIK_VK_CALL_TIMEOUT_SECONDS": "5",
    "GOSPABLIK_OK_CALL_TIMEOUT_SECONDS": "5",
    "GOSPABLIK_VK_LONG_POLL_WAIT_SECONDS": "5",
    "GOSPABLIK_PUBLISH_SETTLE_SECONDS": "1",
    "GOSPABLIK_OK_DISCUSSION_POLL_SECONDS": "1",
    "GOSPABLIK_OK_CHAT_POLL_SECONDS": "2",
    "GOSPABLIK_VK_CONVERSATION_POLL_SECONDS": "20",
    "GOSPABLIK_RECONCILE_GRACE_SECONDS": "1",
}
EMULATOR = {"EMULATOR_TIMEOUT_SECONDS": "8", "EMULATOR_SLOW_SECONDS": "2"}


class ManagedProcess:
    """A process that can be started, killed and started again."""

    def __init__(self, command: list[str], env: dict[str, str], log: Path, **more: Any) -> None:
        self._command, self._env, self._log, self._more = command, env, log, more
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process; it must not be running."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, env=self._env, stdout=log, stderr=log, **self._more)

    def stop(self, signal_number: signal.Signals) -> None:
        """Send the signal and wait until the process ends."""
        if self._process is not None:
            self._process.send_signal(signal_number)
            self._process.wait(60)
            self._process = None

    def restart(self, signal_number: signal.Signals) -> None:
        """Stop the process and start it again."""
        self.stop(signal_number)
        self.start()


@dataclass
class Token:
    """A token as the network issued it, with its id in ingest."""

    network: str
    data: dict[str, Any]
    id: str = ""

    @property
    def secret(self) -> str:
        return str(self.data["token"])


@dataclass
class Page:
    """A page, with its ids in the network and in the registry."""

    network: str
    external_id: str
    id: UUID


@dataclass
class TestSystem:
    """The running processes and clients for them."""

    networks: dict[str, httpx.AsyncClient]
    api: httpx.AsyncClient
    connect: Callable[[], Any]
    processes: dict[str, ManagedProcess]
    database: ManagedProcess
    keys: Path
    pages: list[Page] = field(default_factory=list)
    tokens: list[Token] = field(default_factory=list)

    def _headers(self, issuer: str, audience: str, key: str, **claims: Any) -> dict[str, str]:
        signer = tokens.Signer(issuer, tokens.read_key(self.keys / f"{key}.jwk"))
        subject = str(UUID(int=1)) if key == "people" else issuer
        return {"Authorization": f"Bearer {signer.sign(subject, audience, timedelta(seconds=60), **claims)}"}

    def as_centre(self) -> dict[str, str]:
        """Return the headers of a moderator of the centre."""
        return self._headers(
            tokens.PEOPLE_ISSUER, tokens.PEOPLE_AUDIENCE, "people", name="Bench", role="moderator", org=None
        )

    def as_appeals(self, path: str) -> dict[str, str]:
        """Return the headers of the appeals service for a POST to this path."""
        use = tokens.route_claim("POST", path)
        return self._headers("appeals", "ingest", "appeals", act=str(UUID(int=1)), use=use)

    async def control(self, network: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Call an emulator's control API, with GET if there is no body. Return the response."""
        client = self.networks[network]
        answer = await (
            client.get(f"/_control/{path}") if body is None else client.post(f"/_control/{path}", json=body)
        )
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    async def call(self, method: str, path: str, **more: Any) -> Any:
        """Call ingest's API as the centre, with retries while its database is unavailable. Return the response."""
        for _ in range(60):
            try:
                answer = await self.api.request(method, f"/api/v1{path}", headers=self.as_centre(), **more)
            except httpx.TransportError:
                await asyncio.sleep(0.5)
                continue
            if answer.status_code < 500:
                if answer.is_error:
                    raise RuntimeError(f"{method} {path}: {answer.status_code} {answer.text[:500]}")
                return answer.json() if answer.content else None
            await asyncio.sleep(0.5)
        raise RuntimeError(f"{method} {path}: no response")

    async def fetch(self, query: str, *values: Any) -> list[asyncpg.Record]:
        """Return rows of the database; wait while it is unavailable."""
        for _ in range(60):
            try:
                connection = await self.connect()
                try:
                    return list(await connection.fetch(query, *values))
                finally:
                    await connection.close()
            except (OSError, asyncpg.PostgresError):
                await asyncio.sleep(0.5)
        raise RuntimeError("the database does not respond")

    async def add_token(self, token: Token, page: Page | None) -> None:
        """Store a token in ingest."""
        body = {key: value for key, value in token.data.items() if key in TOKEN_FIELDS}
        body |= {"network": token.network} | ({"page_id": str(page.id)} if page else {})
        token.id = (await self.call("POST", "/sources/tokens", json=body))["id"]
        self.tokens.append(token)

    async def issue(self, network: str, kind: str, page: Page | None) -> Token:
        """Return a new token of the network, stored in ingest."""
        body = {"kind": kind} | ({"page": page.external_id} if page else {})
        response = await self.control(network, "tokens", body)
        token = Token(network, response["items"][0] if "items" in response else response)
        await self.add_token(token, page)
        return token


def _client(url: str, timeout: float) -> httpx.AsyncClient:
    # Expire idle connections before the servers close them: a write must not fail on a closing connection.
    return httpx.AsyncClient(base_url=url, timeout=timeout, limits=httpx.Limits(keepalive_expiry=2))


async def _wait_until_ready(client: httpx.AsyncClient, path: str) -> None:
    async with asyncio.timeout(90):
        while True:
            try:
                if (await client.get(path)).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.1)


def _server(root: Path) -> tuple[ManagedProcess, str]:
    server = postgres.locate(DataDir.prepare(root / "data"))
    server.initialise(TEST_PASSWORD)
    port, account = free_port(), server.account
    account_options = {"user": account.uid, "group": account.gid, "extra_groups": []} if account else {}
    process = ManagedProcess(
        server.command("127.0.0.1", port), dict(os.environ), root / "postgres.log", cwd="/", **account_options
    )
    return process, f"postgresql://postgres:{TEST_PASSWORD}@127.0.0.1:{port}/postgres"


@asynccontextmanager
async def running_system(seed: int, pages: int, *, keep: Path | None = None) -> AsyncIterator[TestSystem]:
    """Start the system with `pages` pages per network and three tokens of each kind that a network has; stop it
    after the block.
    """
    with tempfile.TemporaryDirectory(prefix="gospablik-", ignore_cleanup_errors=True) as folder:
        root = keep or Path(folder)
        root.mkdir(parents=True, exist_ok=True)
        root.chmod(0o711)
        processes: list[ManagedProcess] = []
        clients: list[httpx.AsyncClient] = []
        try:
            yield await _start_system(root, seed, pages, processes, clients)
        finally:
            for client in clients:
                await client.aclose()
            for process in reversed(processes):
                process.stop(signal.SIGINT if process is processes[0] else signal.SIGKILL)


async def _start_system(
    root: Path, seed: int, pages: int, processes: list[ManagedProcess], clients: list[httpx.AsyncClient]
) -> TestSystem:
    database, admin = _server(root)
    database.start()
    processes.append(database)
    await migrate(admin)
    keys = root / "keys"
    ensure_keys(keys)
    urls = {}
    clocks = {who: {"GOSPABLIK_CLOCK_SHIFT_SECONDS": f"{shift:.3f}"} for who, shift in clock_shifts(seed).items()}
    for network in ("vk", "ok"):
        port = free_port()
        urls[network] = f"http://127.0.0.1:{port}"
        settings = EMULATOR | {
            "EMULATOR_PORT": str(port),
            "EMULATOR_SEED": str(seed),
            "EMULATOR_DATA": str(root / f"{network}.sqlite3"),
        }
        command = [sys.executable, "-m", f"emulators.{network}"]
        processes.append(ManagedProcess(command, os.environ | settings | clocks[network], root / f"{network}.log"))
        processes[-1].start()
        clients.append(_client(urls[network], 120))
    port = free_port()
    env = (
        dict(os.environ)
        | INGEST
        | {
            "GOSPABLIK_ENVIRONMENT": "embedded",
            "GOSPABLIK_DATABASE_URL": bootstrap.with_login(admin, "ingest", TEST_PASSWORD),
            "GOSPABLIK_KEYS_DIR": str(keys),
            "GOSPABLIK_CURSOR_KEY": "cursor-key-of-the-bench",
            "GOSPABLIK_AUDIT_KEY": "audit-key-of-the-bench",
            "GOSPABLIK_PSEUDONYM_KEY": "pseudonym-key-of-the-bench",
            "GOSPABLIK_ENCRYPTION_KEYS": Fernet.generate_key().decode(),
            "GOSPABLIK_VK_API_URL": urls["vk"],
            "GOSPABLIK_OK_API_URL": urls["ok"],
        }
    )
    serve = [sys.executable, "-m", "cli.main", "serve", "ingest", "--process"]
    service_processes = {
        name: ManagedProcess(
            [*serve, name], env | clocks[name] | {"GOSPABLIK_PORT": str(service_port)}, root / f"{name}.log"
        )
        for name, service_port in (("api", port), ("worker", free_port()))
    }
    for process in service_processes.values():
        process.start()
        processes.append(process)
    clients.append(_client(f"http://127.0.0.1:{port}", 60))
    vk, ok, api = clients
    for client, path in ((vk, "/_control/pages"), (ok, "/_control/pages"), (api, "/health/live")):
        await _wait_until_ready(client, path)
    admin_url = bootstrap.with_database(admin, bootstrap.DATABASE)
    system = TestSystem(
        {"vk": vk, "ok": ok}, api, lambda: asyncpg.connect(admin_url, timeout=5), service_processes, database, keys
    )
    await _create_pages(system, pages)
    return system


async def _create_pages(system: TestSystem, pages: int) -> None:
    """Create pages in both networks and the registry, with three tokens of each kind that a network has."""
    connection = await system.connect()
    await connection.execute(
        "INSERT INTO people (id, username, full_name, role, active, version, created_at, updated_at)"
        " VALUES ($1, 'bench', 'Bench', 'moderator', true, 1, now(), now())",
        UUID(int=1),
    )
    organisation = uuid4()
    await connection.execute(
        "INSERT INTO organisations (id, name, sort_key, kind, active, version, created_at, updated_at)"
        " VALUES ($1, 'Школа', 'школа', 'institution', true, 1, now(), now())",
        organisation,
    )
    for network in system.networks:
        for number in range(pages):
            name = f"faults_{network}_{number}"
            external_id = str((await system.control(network, "pages", {"name": name, "screen_name": name}))["id"])
            page = Page(network, external_id, uuid4())
            await connection.execute(
                "INSERT INTO pages (id, organisation_id, network, external_id, name, sort_key, url, go_live_at,"
                " active, version, created_at, updated_at)"
                " VALUES ($1, $2, $3, $4, $5, $5, '', '2020-01-01', true, 1, now(), now())",
                page.id,
                organisation,
                network,
                external_id,
                name,
            )
            system.pages.append(page)
    await connection.close()
    by_external_id = {(page.network, page.external_id): page for page in system.pages}
    for network in system.networks:
        for data in (await system.control(network, "tokens"))["items"]:
            token = Token(network, data)
            await system.add_token(token, by_external_id.get((network, str(data.get("page")))))
        kinds = ("service", "user") if network == "vk" else ("user",)
        for kind in kinds:
            for _ in range(3 - sum(t.network == network and t.data["kind"] == kind for t in system.tokens)):
                await system.issue(network, kind, None)
    for page in system.pages:
        # OK allows one token per group: a new token invalidates the old token.
        for _ in range(2 if page.network == "vk" else 0):
            await system.issue("vk", "group", page)


def as_json(value: Any) -> str:
    """Return the value as JSON, for the output of a run."""
    return json.dumps(value, ensure_ascii=False, default=str)
