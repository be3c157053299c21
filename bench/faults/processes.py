"""What a run stands on: Postgres, both emulators, ingest's API and its worker, each a process of its own."""

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

from bench.faults.fault_plan import shifts
from cli.deployment import provisioning as bootstrap
from cli.deployment.signing_keys import ensure_keys
from cli.embedded import postgres
from cli.embedded.data_dir import Layout
from cli.embedded.temporary_postgres import PASSWORD, free_port, migrate
from shared.auth import tokens

TOKEN_FIELDS = {"kind", "token", "application_key", "application_secret_key", "session_secret_key"}
# Everything that waits is short: a run must not sit out a real day's schedule.
INGEST = {
    "GOSPABLIK_REGISTRY_SECONDS": "1",
    "GOSPABLIK_VK_CALL_SECONDS": "5",
    "GOSPABLIK_OK_CALL_SECONDS": "5",
    "GOSPABLIK_VK_LONG_POLL_WAIT": "5",
    "GOSPABLIK_PUBLISH_SETTLE_SECONDS": "1",
    "GOSPABLIK_OK_DISCUSSIONS_SECONDS": "1",
    "GOSPABLIK_OK_CHATS_SECONDS": "2",
    "GOSPABLIK_VK_DIALOGS_SECONDS": "20",
    "GOSPABLIK_RECONCILE_GRACE_SECONDS": "1",
}
EMULATOR = {"EMULATOR_TIMEOUT_SECONDS": "8", "EMULATOR_SLOW_SECONDS": "2"}


class Part:
    """One process of ours, to be started, killed and started again."""

    def __init__(self, command: list[str], env: dict[str, str], log: Path, **more: Any) -> None:
        self._command, self._env, self._log, self._more = command, env, log, more
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; the one before is dead."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, env=self._env, stdout=log, stderr=log, **self._more)

    def end(self, how: signal.Signals) -> None:
        """End it and wait."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(60)
            self._process = None

    def restart(self, how: signal.Signals) -> None:
        """End it and start it again."""
        self.end(how)
        self.start()


@dataclass
class Token:
    """A credential: as the network gave it, and its id at ingest."""

    network: str
    given: dict[str, Any]
    id: str = ""

    @property
    def secret(self) -> str:
        return str(self.given["token"])


@dataclass
class Page:
    """A page in the network and in the registry."""

    network: str
    native: str
    id: UUID


@dataclass
class Stage:
    """The running parts and the doors to them."""

    doors: dict[str, httpx.AsyncClient]
    api: httpx.AsyncClient
    eye: Callable[[], Any]
    ours: dict[str, Part]
    database: Part
    keys: Path
    pages: list[Page] = field(default_factory=list)
    tokens: list[Token] = field(default_factory=list)

    def _headers(self, issuer: str, audience: str, key: str, **claims: Any) -> dict[str, str]:
        signer = tokens.Signer(issuer, tokens.read_key(self.keys / f"{key}.jwk"))
        subject = str(UUID(int=1)) if key == "people" else issuer
        return {"Authorization": f"Bearer {signer.sign(subject, audience, timedelta(seconds=60), **claims)}"}

    def as_centre(self) -> dict[str, str]:
        """Headers of a moderator of the centre."""
        return self._headers(
            tokens.PEOPLE_ISSUER, tokens.PEOPLE_AUDIENCE, "people", name="Bench", role="moderator", org=None
        )

    def as_appeals(self, path: str) -> dict[str, str]:
        """Headers of the service that asks for answers, for a POST to this path."""
        use = tokens.use_of("POST", path)
        return self._headers("appeals", "ingest", "appeals", act=str(UUID(int=1)), use=use)

    async def control(self, network: str, path: str, wanted: dict[str, Any] | None = None) -> dict[str, Any]:
        """A call of an emulator's control door: GET without a body."""
        door = self.doors[network]
        answer = await (
            door.get(f"/_control/{path}") if wanted is None else door.post(f"/_control/{path}", json=wanted)
        )
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    async def call(self, method: str, path: str, **more: Any) -> Any:
        """A call of ingest's API as the centre, tried again while its database is away."""
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
        raise RuntimeError(f"{method} {path}: no answer")

    async def fetch(self, query: str, *values: Any) -> list[asyncpg.Record]:
        """Look into the database from behind; waits while it is away."""
        for _ in range(60):
            try:
                connection = await self.eye()
                try:
                    return list(await connection.fetch(query, *values))
                finally:
                    await connection.close()
            except (OSError, asyncpg.PostgresError):
                await asyncio.sleep(0.5)
        raise RuntimeError("the database does not answer")

    async def hand_over(self, token: Token, page: Page | None) -> None:
        """Give a credential to ingest."""
        wanted = {key: value for key, value in token.given.items() if key in TOKEN_FIELDS}
        wanted |= {"network": token.network} | ({"page_id": str(page.id)} if page else {})
        token.id = (await self.call("POST", "/sources/tokens", json=wanted))["id"]
        self.tokens.append(token)

    async def issue(self, network: str, kind: str, page: Page | None) -> Token:
        """A fresh credential of the network, handed over to ingest."""
        wanted = {"kind": kind} | ({"page": page.native} if page else {})
        given = await self.control(network, "tokens", wanted)
        token = Token(network, given["items"][0] if "items" in given else given)
        await self.hand_over(token, page)
        return token


def _client(url: str, timeout: float) -> httpx.AsyncClient:
    # Shorter than the servers keep idle connections: a write must not meet one that is being closed.
    return httpx.AsyncClient(base_url=url, timeout=timeout, limits=httpx.Limits(keepalive_expiry=2))


async def _ready(client: httpx.AsyncClient, path: str) -> None:
    async with asyncio.timeout(90):
        while True:
            try:
                if (await client.get(path)).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.1)


def _server(root: Path) -> tuple[Part, str]:
    server = postgres.locate(Layout.prepare(root / "data"))
    server.initialise(PASSWORD)
    port, account = free_port(), server.account
    who = {"user": account.uid, "group": account.gid, "extra_groups": []} if account else {}
    part = Part(server.command("127.0.0.1", port), dict(os.environ), root / "postgres.log", cwd="/", **who)
    return part, f"postgresql://postgres:{PASSWORD}@127.0.0.1:{port}/postgres"


@asynccontextmanager
async def stage(seed: int, pages: int, *, keep: Path | None = None) -> AsyncIterator[Stage]:
    """Start all, with `pages` pages in each network and three tokens of each kind; end it after the block."""
    with tempfile.TemporaryDirectory(prefix="gospablik-", ignore_cleanup_errors=True) as folder:
        root = keep or Path(folder)
        root.mkdir(parents=True, exist_ok=True)
        root.chmod(0o711)
        parts: list[Part] = []
        clients: list[httpx.AsyncClient] = []
        try:
            yield await _set(root, seed, pages, parts, clients)
        finally:
            for client in clients:
                await client.aclose()
            for part in reversed(parts):
                part.end(signal.SIGINT if part is parts[0] else signal.SIGKILL)


async def _set(root: Path, seed: int, pages: int, parts: list[Part], clients: list[httpx.AsyncClient]) -> Stage:
    database, admin = _server(root)
    database.start()
    parts.append(database)
    await migrate(admin)
    keys = root / "keys"
    ensure_keys(keys)
    urls = {}
    clocks = {who: {"GOSPABLIK_CLOCK_SHIFT_SECONDS": f"{shift:.3f}"} for who, shift in shifts(seed).items()}
    for network in ("vk", "ok"):
        port = free_port()
        urls[network] = f"http://127.0.0.1:{port}"
        own = EMULATOR | {
            "EMULATOR_PORT": str(port),
            "EMULATOR_SEED": str(seed),
            "EMULATOR_DATA": str(root / f"{network}.sqlite3"),
        }
        command = [sys.executable, "-m", f"emulators.{network}"]
        parts.append(Part(command, os.environ | own | clocks[network], root / f"{network}.log"))
        parts[-1].start()
        clients.append(_client(urls[network], 120))
    port = free_port()
    env = (
        dict(os.environ)
        | INGEST
        | {
            "GOSPABLIK_ENVIRONMENT": "embedded",
            "GOSPABLIK_DATABASE_URL": bootstrap.with_login(admin, "ingest", PASSWORD),
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
    ours = {
        name: Part([*serve, name], env | clocks[name] | {"GOSPABLIK_PORT": str(at)}, root / f"{name}.log")
        for name, at in (("api", port), ("worker", free_port()))
    }
    for part in ours.values():
        part.start()
        parts.append(part)
    clients.append(_client(f"http://127.0.0.1:{port}", 60))
    vk, ok, door = clients
    for client, path in ((vk, "/_control/pages"), (ok, "/_control/pages"), (door, "/health/live")):
        await _ready(client, path)
    eye = bootstrap.with_database(admin, bootstrap.DATABASE)
    made = Stage({"vk": vk, "ok": ok}, door, lambda: asyncpg.connect(eye, timeout=5), ours, database, keys)
    await _registry(made, pages)
    return made


async def _registry(stage: Stage, pages: int) -> None:
    """Pages in both networks, known to the registry, with three tokens of each kind that a network has."""
    connection = await stage.eye()
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
    for network in stage.doors:
        for number in range(pages):
            name = f"faults_{network}_{number}"
            native = str((await stage.control(network, "pages", {"name": name, "screen_name": name}))["id"])
            page = Page(network, native, uuid4())
            await connection.execute(
                "INSERT INTO pages (id, organisation_id, network, external_id, name, sort_key, url, live_from,"
                " active, version, created_at, updated_at)"
                " VALUES ($1, $2, $3, $4, $5, $5, '', '2020-01-01', true, 1, now(), now())",
                page.id,
                organisation,
                network,
                native,
                name,
            )
            stage.pages.append(page)
    await connection.close()
    by_native = {(page.network, page.native): page for page in stage.pages}
    for network in stage.doors:
        for given in (await stage.control(network, "tokens"))["items"]:
            token = Token(network, given)
            await stage.hand_over(token, by_native.get((network, str(given.get("page")))))
        kinds = ("service", "user") if network == "vk" else ("user",)
        for kind in kinds:
            for _ in range(3 - sum(t.network == network and t.given["kind"] == kind for t in stage.tokens)):
                await stage.issue(network, kind, None)
    for page in stage.pages:
        # OK keeps one token of a group alive: issuing a new one kills the old.
        for _ in range(2 if page.network == "vk" else 0):
            await stage.issue("vk", "group", page)


def as_json(value: Any) -> str:
    """For the log of a run."""
    return json.dumps(value, ensure_ascii=False, default=str)
