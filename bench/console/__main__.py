"""Pages of the console at a million appeals, through the gateway: `python -m bench.console [--quick] [--json]`.

The floor of a page is the sum of the durations of its API calls, from the console's log; ours is the response time
of the page. The ratio is ours / floor: lower is better; a ratio below 1 means that calls ran concurrently. Figures
are medians of the rounds after a warm-up round; the worst page counts.
"""

import argparse
import asyncio
import json
import secrets
import statistics
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID

import aiohttp
import asyncpg
from cryptography.fernet import Fernet
from pydantic import SecretStr

from bench.api.measurement import ADD_PERSON, PERSON
from bench.api.recorded_requests import moderator_token
from bench.console.processes import console_processes
from cli.deployment import provisioning as bootstrap
from cli.deployment.signing_keys import ensure_keys
from cli.embedded.temporary_postgres import TEST_PASSWORD, migrate, temporary_server
from services.console.browser_sessions.session_store import SESSION_COOKIE, SessionStore
from services.console.browser_sessions.token_endpoint import TokenEndpoint, Tokens
from shared.database.sessions import Database
from tests.integration.data_growth.large_dataset import fill

BAR = 3.0
APPEALS, QUICK_APPEALS = 1_000_000, 10_000
ROUNDS, QUICK_ROUNDS = 30, 5


@dataclass(frozen=True)
class Figures:
    """Median times of a page and of its calls, in milliseconds, and the number of calls."""

    page: str
    ours: float
    floor: float
    calls: int

    @property
    def ratio(self) -> float:
        """Return the time of the page as a multiple of the time of its calls."""
        return self.ours / self.floor


async def measure(appeals: int, rounds: int) -> list[Figures]:
    """Measure the pages that people open most."""
    with temporary_server() as server, TemporaryDirectory() as made:
        folder = Path(made)
        await migrate(server)
        ensure_keys(folder / "keys")
        admin = await asyncpg.connect(bootstrap.with_database(server, bootstrap.DATABASE))
        await fill(admin, appeals)
        await admin.execute(ADD_PERSON, PERSON)
        appeal_id = await admin.fetchval(
            "SELECT id FROM appeals WHERE status = 'answered' ORDER BY opened_at DESC LIMIT 1"
        )
        await admin.close()
        key = Fernet.generate_key().decode()
        settings = {
            "GOSPABLIK_ENVIRONMENT": "embedded",
            "GOSPABLIK_KEYS_DIR": str(folder / "keys"),
            "GOSPABLIK_CURSOR_KEY": secrets.token_hex(),
            "GOSPABLIK_AUDIT_KEY": secrets.token_hex(),
            "GOSPABLIK_PSEUDONYM_KEY": secrets.token_hex(),
            "GOSPABLIK_ATTACHMENTS_DIR": str(folder / "attachments"),
            "GOSPABLIK_ENCRYPTION_KEYS": key,
        }
        async with console_processes(folder, server, settings) as gateway:
            cookie = await _signed_in(server, key, gateway, moderator_token(folder / "keys", PERSON))
            pages = ("/inbox", "/inbox?overdue=true&sort=due", "/inbox?q=дороги", f"/appeals/{appeal_id}")
            return [await _page(gateway, folder / "console.log", cookie, page, rounds) for page in pages]


async def _signed_in(server: str, key: str, gateway: str, token: str) -> str:
    database = Database(bootstrap.with_login(server, "console", TEST_PASSWORD), 1, name="bench")
    try:
        async with aiohttp.ClientSession() as http:
            endpoint = TokenEndpoint(http, f"{gateway}/api/v1/auth")
            store = SessionStore(database, SecretStr(key), lambda _tokens: endpoint)
            return await store.start(UUID(str(PERSON)), Tokens(token, "none", 7_000))
    finally:
        await database.close()


async def _page(gateway: str, log: Path, cookie: str, page: str, rounds: int) -> Figures:
    asked = []
    headers = {"Cookie": f"{SESSION_COOKIE}={cookie}", "Sec-Fetch-Site": "none"}
    async with aiohttp.ClientSession(headers=headers) as http:
        for _ in range(rounds + 1):
            async with http.get(gateway + page) as response:
                await response.read()
                response.raise_for_status()
                asked.append(response.headers["X-Request-Id"])
    counted = asked[1:]
    # A request is logged after its response is sent.
    async with asyncio.timeout(10):
        while True:
            ours, floor = await asyncio.to_thread(_durations, log)
            if ours.keys() >= set(counted):
                break
            await asyncio.sleep(0.05)
    return Figures(
        page if page.startswith("/inbox") else "/appeals/…",
        statistics.median(ours[one] for one in counted),
        statistics.median(sum(floor[one]) for one in counted),
        len(floor[counted[-1]]),
    )


def _durations(log: Path) -> tuple[dict[str, float], dict[str, list[float]]]:
    """Return the durations of each request and of its calls, in milliseconds, by request id."""
    requests: dict[str, float] = {}
    calls: dict[str, list[float]] = defaultdict(list)
    for line in log.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line) if line.startswith("{") else {}
        if entry.get("event") == "request":
            requests[entry["request_id"]] = entry["ms"]
        elif entry.get("event") == "api call":
            calls[entry["request_id"]].append(entry["ms"])
    return requests, calls


def main() -> None:
    """Run `python -m bench.console [--quick] [--json]`; exit with 1 above the bar."""
    parser = argparse.ArgumentParser(prog="python -m bench.console")
    parser.add_argument("--quick", action="store_true", help="10,000 appeals, few rounds")
    parser.add_argument("--json", action="store_true", help="the last line is one JSON object")
    options = parser.parse_args()
    size, rounds = (QUICK_APPEALS, QUICK_ROUNDS) if options.quick else (APPEALS, ROUNDS)
    figures = asyncio.run(measure(size, rounds))
    for one in figures:
        print(
            f"{one.page} of {size:,} appeals: {one.ours:.0f} ms, its {one.calls} calls {one.floor:.0f} ms, "
            f"ratio {one.ratio:.2f} (bar {BAR})"
        )
    worst = max(figures, key=lambda one: one.ratio)
    ok = worst.ratio <= BAR
    if options.json:
        result = {
            "name": "console",
            "ratio": round(worst.ratio, 3),
            "bar": BAR,
            "ok": ok,
            "floor": round(worst.floor, 1),
            "ours": round(worst.ours, 1),
            "unit": "ms",
            "runs": rounds,
        }
        print(json.dumps(result))
    sys.exit(0 if ok or options.quick else 1)


if __name__ == "__main__":
    main()
