"""Two Postgres servers, one replicating from the other: to be killed, promoted, made read-only or full."""

import asyncio
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from cli.deployment import provisioning as bootstrap
from cli.embedded import postgres
from cli.embedded.data_dir import DataDir
from cli.embedded.temporary_postgres import TEST_PASSWORD, free_port

OPTIONS = ("fsync=off", "max_connections=200", "wal_keep_size=256MB")


class Server:
    """One server; its data folder outlives the process."""

    def __init__(self, root: Path) -> None:
        root.mkdir(mode=0o711)
        self._log = root / "postgres.log"
        self.files = postgres.locate(DataDir.prepare(root / "data"))
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def host(self) -> str:
        """Host and port, as a URL names them."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """The superuser's URL of this server alone."""
        return f"postgresql://postgres:{TEST_PASSWORD}@{self.host}/postgres"

    async def start(self) -> None:
        """Start it and wait until it answers."""
        process = self._process = self._spawn()
        await bootstrap.wait_until_ready(
            self.url, is_alive=lambda: process.poll() is None, progress=lambda _: None
        )

    def _spawn(self) -> subprocess.Popen[bytes]:
        account = self.files.account
        flags = [part for option in OPTIONS for part in ("-c", option)]
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [*self.files.command("127.0.0.1", self.port), *flags],
                stdout=log,
                stderr=log,
                cwd="/",
                user=account.uid if account else None,
                group=account.gid if account else None,
                extra_groups=[] if account else None,
            )

    async def end(self, how: signal.Signals = signal.SIGINT) -> None:
        """End it: SIGINT as an operator would, SIGQUIT as a crash does."""
        if self._process is not None:
            self._process.send_signal(how)
            await asyncio.to_thread(self._process.wait, 60)
            self._process = None

    async def ask(self, query: str, database: str = "postgres") -> list[asyncpg.Record]:
        """Rows of a statement that the superuser runs on this server."""
        connection = await asyncpg.connect(bootstrap.with_database(self.url, database), timeout=10)
        try:
            return list(await connection.fetch(query))
        finally:
            await connection.close()

    def copy_of(self, primary: "Server") -> None:
        """Become a standby of a running server."""
        command = [
            str(self.files.programs / "pg_basebackup"),
            f"--pgdata={self.files.data}",
            f"--dbname={primary.url.replace('/postgres', '/')}",
            "--checkpoint=fast",
            "--wal-method=stream",
            "--write-recovery-conf",
        ]
        if (account := self.files.account) is not None:
            done = account.run(command)
        else:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


@dataclass
class TwoServers:
    """A server that takes writes and its standby."""

    primary: Server
    standby: Server

    @property
    def admin_url(self) -> str:
        """The superuser's URL of whichever of the two takes writes."""
        hosts = f"{self.primary.host},{self.standby.host}"
        return f"postgresql://postgres:{TEST_PASSWORD}@{hosts}/postgres?target_session_attrs=read-write"

    async def replicate(self) -> None:
        """Make the standby; from then on a commit waits for it."""
        await asyncio.to_thread(self.standby.copy_of, self.primary)
        await self.standby.start()
        await self.primary.ask("ALTER SYSTEM SET synchronous_standby_names = '*'")
        await self.primary.ask("SELECT pg_reload_conf()")
        async with asyncio.timeout(60):
            while not await self.primary.ask("SELECT FROM pg_stat_replication WHERE sync_state = 'sync'"):
                await asyncio.sleep(0.05)

    async def switch(self, crash: signal.Signals = signal.SIGQUIT) -> None:
        """The primary dies, the standby is promoted."""
        await self.primary.end(crash)
        await self.standby.ask("SELECT pg_promote()")


def passable(folder: str) -> Path:
    """A temporary folder that Postgres' own user may pass through."""
    path = Path(folder)
    path.chmod(0o711)
    return path


@asynccontextmanager
async def two_servers(root: Path) -> AsyncIterator[TwoServers]:
    """A primary that runs, empty, and a place for its standby."""
    servers = TwoServers(Server(root / "one"), Server(root / "two"))
    servers.primary.files.initialise(TEST_PASSWORD)
    try:
        await servers.primary.start()
        yield servers
    finally:
        await servers.standby.end()
        await servers.primary.end()
