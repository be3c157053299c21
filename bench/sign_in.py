"""Slowdown of other people's sign-ins during a password guessing attack: `python -m bench.sign_in`.

Floor: sign-ins per second at the 95th percentile of their duration, one after another, in an embedded run. Ours:
the same while another process guesses passwords over 18 connections, for new user names and for one existing name.
Two measurements: an attack from another address, and an attack from the address of the people who sign in. Medians
of rounds, each measured without and with the attack, so that changes of the machine's speed affect both.
"""

import argparse
import asyncio
import itertools
import statistics
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp

from bench.measure import Measurement, run_benchmark
from tests.support.embedded_stack import running_stack

CONNECTIONS = 18
# A round takes seconds: an attack process that runs longer than this has lost its parent process.
MAX_ATTACK_SECONDS = 300
SIGN_INS = 12
OTHER_USERS = ("head", "centre", "org")
TOKEN = "/api/v1/auth/token"
PASSWORD = "demo"


def form(name: str, password: str) -> dict[str, str]:
    """Return the form fields of a sign-in by password."""
    return {"grant_type": "password", "username": name, "password": password}


async def attack(gateway: str, address: str, username: str) -> None:
    """Send wrong passwords over all connections until the process is killed or the time limit is reached.

    Print a line after the first responses.
    """
    numbers = itertools.count()
    answered = itertools.count(1)

    async def connection(http: aiohttp.ClientSession, number: int) -> None:
        while True:
            # Every third connection attacks the same name; the other connections use a new name each time.
            name = username if number % 3 == 0 else f"guess{next(numbers)}"
            async with http.post(gateway + TOKEN, data=form(name, "guess")) as answer:
                await answer.read()
                if answer.status not in {400, 429}:
                    sys.exit(f"unexpected response to a guess: {answer.status}")
            if next(answered) == CONNECTIONS:
                print("attacking", flush=True)

    connector = aiohttp.TCPConnector(limit=CONNECTIONS, local_addr=(address, 0))
    timeout = aiohttp.ClientTimeout(total=60)
    async with (
        asyncio.timeout(MAX_ATTACK_SECONDS),
        aiohttp.ClientSession(connector=connector, timeout=timeout) as http,
    ):
        await asyncio.gather(*(connection(http, number) for number in range(CONNECTIONS)))


@asynccontextmanager
async def attacking(gateway: str, address: str, username: str) -> AsyncIterator[None]:
    """Guess passwords in another process until the block ends."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bench.sign_in",
        "--guess",
        gateway,
        address,
        username,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        if await asyncio.wait_for(process.stdout.readline(), 60) != b"attacking\n":
            raise RuntimeError("the attack did not start")
        yield
        if process.returncode is not None:
            raise RuntimeError(f"the attack ended with {process.returncode}")
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def sign_in_p95(http: aiohttp.ClientSession, gateway: str) -> float:
    """Return the 95th percentile of the duration of sign-ins in seconds; each must succeed."""
    durations = []
    for name in itertools.islice(itertools.cycle(OTHER_USERS), SIGN_INS):
        started = time.perf_counter()
        async with http.post(gateway + TOKEN, data=form(name, PASSWORD)) as answer:
            if answer.status != 200:
                raise RuntimeError(f"{name} cannot sign in: {answer.status} {await answer.text()}")
        durations.append(time.perf_counter() - started)
    return statistics.quantiles(durations, n=20, method="inclusive")[-1]


# By measurement: the address of the attack and the attacked user name.
ATTACKS = {"another": ("127.0.0.2", "ops"), "same": ("127.0.0.1", "auditor")}
_MEASURED: dict[str, tuple[float, float]] = {}


async def run(rounds: int, *, of: str) -> tuple[float, float]:
    """Return sign-ins per second without and with the attack. The first call measures all attacks, in one run."""
    if not _MEASURED:
        with TemporaryDirectory() as folder:
            async with (
                running_stack(Path(folder) / "stack", seed_demo=True) as stack,
                aiohttp.ClientSession() as http,
            ):
                await sign_in_p95(http, stack.gateway)
                for name, (address, username) in ATTACKS.items():
                    _MEASURED[name] = await measure_attack(http, stack.gateway, rounds, address, username)
    return _MEASURED[of]


async def measure_attack(
    http: aiohttp.ClientSession, gateway: str, rounds: int, address: str, username: str
) -> tuple[float, float]:
    """Return sign-ins per second without and with this attack."""
    measured = []
    for _ in range(rounds):
        without_attack = await sign_in_p95(http, gateway)
        async with attacking(gateway, address, username):
            measured.append((without_attack, await sign_in_p95(http, gateway)))
    without_attack = statistics.median(without for without, _ in measured)
    slowdown = statistics.median(under / without for without, under in measured)
    print(
        f"  attack on {username} from {address}: {without_attack * 1000:.0f} ms without, "
        f"{slowdown:.2f} times as long with it"
    )
    return 1 / without_attack, 1 / (without_attack * slowdown)


MEASUREMENTS = (
    Measurement("sign-in, attack from another address", 1 / 3, "per second", 10, 1, partial(run, of="another")),
    Measurement("sign-in, attack from the same address", 1 / 3, "per second", 10, 1, partial(run, of="same"),
         "same_address_"),
)  # fmt: skip

if __name__ == "__main__":
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--guess", nargs=3)
    if (target := parser.parse_known_args()[0].guess) is not None:
        asyncio.run(attack(*target))
    run_benchmark("sign_in", MEASUREMENTS, runs=1)
