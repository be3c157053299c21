"""How much longer others wait to sign in while somebody guesses passwords: `python -m bench.sign_in`.

Floor: sign-ins a second at the 95th percentile of their duration, one after another, at the running stack.
Ours: the same while another process guesses over 18 connections, at names that are new each time and at one that
is not. Two parts: guesses from another address, and from the address where the others work. Medians of rounds,
each measured without and with the guesses, so that a machine's drift changes both.
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

from bench.measure import Part, main
from tests.support.embedded_stack import running_stack

CONNECTIONS = 18
# One round takes seconds: whoever guesses longer has lost the process that started it.
MOST_SECONDS = 300
SIGN_INS = 12
OTHERS = ("head", "centre", "org")
TOKEN = "/api/v1/auth/token"
PASSWORD = "demo"


def form(name: str, password: str) -> dict[str, str]:
    """The fields of a sign-in by password."""
    return {"grant_type": "password", "username": name, "password": password}


async def guess(gateway: str, address: str, guessed: str) -> None:
    """Send wrong passwords over all connections until the process is ended or the time is over.

    Prints a line when the first were answered.
    """
    numbers = itertools.count()
    answered = itertools.count(1)

    async def lane(http: aiohttp.ClientSession, number: int) -> None:
        while True:
            # Every third connection guesses at one name, the others at names that are new each time.
            name = guessed if number % 3 == 0 else f"guess{next(numbers)}"
            async with http.post(gateway + TOKEN, data=form(name, "guess")) as answer:
                await answer.read()
                if answer.status not in {400, 429}:
                    sys.exit(f"a guess was answered with {answer.status}")
            if next(answered) == CONNECTIONS:
                print("guessing", flush=True)

    connector = aiohttp.TCPConnector(limit=CONNECTIONS, local_addr=(address, 0))
    timeout = aiohttp.ClientTimeout(total=60)
    async with asyncio.timeout(MOST_SECONDS), aiohttp.ClientSession(connector=connector, timeout=timeout) as http:
        await asyncio.gather(*(lane(http, number) for number in range(CONNECTIONS)))


@asynccontextmanager
async def guessing(gateway: str, address: str, guessed: str) -> AsyncIterator[None]:
    """Somebody guesses until the block ends."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.sign_in", "--guess", gateway, address, guessed, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        if await asyncio.wait_for(process.stdout.readline(), 60) != b"guessing\n":
            raise RuntimeError("the guessing did not begin")
        yield
        if process.returncode is not None:
            raise RuntimeError(f"the guessing ended with {process.returncode}")
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def p95(http: aiohttp.ClientSession, gateway: str) -> float:
    """The 95th percentile of seconds that the others' sign-ins took; each of them must succeed."""
    took = []
    for name in itertools.islice(itertools.cycle(OTHERS), SIGN_INS):
        started = time.perf_counter()
        async with http.post(gateway + TOKEN, data=form(name, PASSWORD)) as answer:
            if answer.status != 200:
                raise RuntimeError(f"{name} cannot sign in: {answer.status} {await answer.text()}")
        took.append(time.perf_counter() - started)
    return statistics.quantiles(took, n=20, method="inclusive")[-1]


async def run(rounds: int, *, address: str, guessed: str) -> tuple[float, float]:
    """Sign-ins a second without and with the guesses."""
    with TemporaryDirectory() as folder:
        async with running_stack(Path(folder) / "stack", seed_demo=True) as stack, aiohttp.ClientSession() as http:
            await p95(http, stack.gateway)
            measured = []
            for _ in range(rounds):
                quiet = await p95(http, stack.gateway)
                async with guessing(stack.gateway, address, guessed):
                    measured.append((quiet, await p95(http, stack.gateway)))
    quiet = statistics.median(without for without, _ in measured)
    slower = statistics.median(under / without for without, under in measured)
    print(
        f"  {guessed} guessed from {address}: {quiet * 1000:.0f} ms without, {slower:.2f} times as long under it"
    )
    return 1 / quiet, 1 / (quiet * slower)


PARTS = (
    Part("sign-in, guesses from elsewhere", 1 / 3, "a second", 10, 2,
         partial(run, address="127.0.0.2", guessed="ops")),
    Part("sign-in, guesses from the same address", 1 / 3, "a second", 10, 2,
         partial(run, address="127.0.0.1", guessed="auditor"), "same_address_"),
)  # fmt: skip

if __name__ == "__main__":
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--guess", nargs=3)
    if (asked := parser.parse_known_args()[0].guess) is not None:
        asyncio.run(guess(*asked))
    main("sign_in", PARTS, runs=1)
