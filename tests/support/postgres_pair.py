"""Two Postgres servers with replication that tests can kill, promote, make read-only or fill."""

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
from tests.support.eventually import HANG_SECONDS

OPTIONS = ("fsync=off", "max_connections=200", "wal_keep_size=256MB")


class Server:
    """A Postgres server; its data folder is kept after its process ends."""

    def __init__(self, root: Path) -> None:
        root.mkdir(mode=0o711)
        self._log = root / "postgres.log"
        self.files = postgres.locate(DataDir.prepare(root / "data"))
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def host(self) -> str:
        """Return the host and port, as in a URL."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """Return the superuser's URL of this server only."""
        return f"postgresql://postgres:{TEST_PASSWORD}@{self.host}/postgres"

    async def start(self) -> None:
        """Start the server and wait until it accepts connections."""
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
        """Stop the server: with SIGINT as an operator does, or with SIGQUIT as in a crash."""
        if self._process is not None:
            self._process.send_signal(how)
            await asyncio.to_thread(self._process.wait, 60)
            self._process = None

    async def fetch(self, query: str, database: str = "postgres") -> list[asyncpg.Record]:
        """Run a statement as superuser on this server and return its rows."""
        connection = await asyncpg.connect(bootstrap.with_database(self.url, database), timeout=10)
        try:
            return list(await connection.fetch(query))
        finally:
            await connection.close()

    def copy_of(self, primary: "Server") -> None:
        """Make this server a standby of a running server."""
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
class PostgresPair:
    """A primary and its standby."""

    primary: Server
    standby: Server

    @property
    def admin_url(self) -> str:
        """Return the superuser's URL of the writable server."""
        hosts = f"{self.primary.host},{self.standby.host}"
        return f"postgresql://postgres:{TEST_PASSWORD}@{hosts}/postgres?target_session_attrs=read-write"

    async def replicate(self) -> None:
        """Start the standby; from then on the primary's commits wait for it."""
        await asyncio.to_thread(self.standby.copy_of, self.primary)
        await self.standby.start()
        await self.primary.fetch("ALTER SYSTEM SET synchronous_standby_names = '*'")
        await self.primary.fetch("SELECT pg_reload_conf()")
        async with asyncio.timeout(HANG_SECONDS):
            while not await self.primary.fetch("SELECT FROM pg_stat_replication WHERE sync_state = 'sync'"):
                await asyncio.sleep(0.05)

    async def promote_standby(self, crash: signal.Signals = signal.SIGQUIT) -> None:
        """Kill the primary and promote the standby."""
        await self.primary.end(crash)
        await self.standby.fetch("SELECT pg_promote()")


def make_traversable(folder: str) -> Path:
    """Allow Postgres's user to enter a temporary folder; return the folder."""
    path = Path(folder)
    path.chmod(0o711)
    return path


@asynccontextmanager
async def postgres_pair(root: Path) -> AsyncIterator[PostgresPair]:
    """Run an empty primary, with a standby that is not started yet."""
    servers = PostgresPair(Server(root / "one"), Server(root / "two"))
    servers.primary.files.initialise(TEST_PASSWORD)
    try:
        await servers.primary.start()
        yield servers
    finally:
        await servers.standby.end()
        await servers.primary.end()
