"""Filling a fresh run with the demo's region, through the doors everybody uses."""

import asyncio
import os
import subprocess
from collections.abc import Awaitable, Callable, Iterable
from hashlib import sha256
from importlib.resources import files
from typing import TypeVar

import aiohttp

from cli.demo.demo_api import DemoError, Doors
from cli.demo.region import Organisation, load
from cli.embedded.data_dir import Layout
from cli.embedded.programs import GOSPABLIK, Processes
from cli.embedded.settings import NETWORKS, EmbeddedSettings

# The person `org` works here: a school with pages in both networks.
ORG_CODE = "school71-ulanude"

_AT_ONCE = 8

Item = TypeVar("Item")
Result = TypeVar("Result")


def prepare(settings: EmbeddedSettings, layout: Layout, processes: Processes) -> str:
    """Make people, organisations, pages and tokens that are missing, then let citizens write.

    Answers one line about what stands. A run that was filled before is only looked at.
    """
    return asyncio.run(_fill(settings, layout, processes))


def _people(processes: Processes, organisation: str | None) -> None:
    arguments = [*GOSPABLIK, "demo-people", *(["--organisation", organisation] if organisation else [])]
    environment = os.environ | processes.service_environment("registry")
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode != 0:
        last = "\n".join(done.stderr.splitlines()[-15:])
        raise DemoError(f"the demo's people could not be made:\n{last}")


async def _fill(settings: EmbeddedSettings, layout: Layout, processes: Processes) -> str:
    region = load()
    timeout = aiohttp.ClientTimeout(total=30)
    async with aiohttp.ClientSession(timeout=timeout) as http:
        doors = Doors(settings, http)
        remembered = layout.remembered().get("demo") == _digest()
        await _enter(doors, processes, known=remembered)
        # The database may be another one than the one that was filled.
        if remembered and await doors.organisation(ORG_CODE) is not None:
            await doors.until_heard()
            await doors.let_citizens_write()
            return "the region stands as it was"
        organisations = await _organisations(doors, region)
        connected = await asyncio.gather(
            *(_network(doors, network, region, organisations) for network in NETWORKS)
        )
        await asyncio.to_thread(_people, processes, organisations[ORG_CODE])
        await doors.until_heard()
        await doors.let_citizens_write()
    layout.remember(demo=_digest())
    return f"{len(organisations)} organisations, {sum(connected)} pages"


def _digest() -> str:
    return sha256(files("cli.demo").joinpath("region.csv").read_bytes()).hexdigest()


async def _enter(doors: Doors, processes: Processes, *, known: bool) -> None:
    """Sign in as `centre`, making the demo's people first where they are not known to exist."""
    if known:
        try:
            await doors.sign_in("centre", "demo")
        except DemoError:
            known = False
    if not known:
        await asyncio.to_thread(_people, processes, None)
        await doors.sign_in("centre", "demo")


async def _organisations(doors: Doors, region: list[Organisation]) -> dict[str, str]:
    """Ids by code; parents are made before their children, a generation at once."""
    ids: dict[str, str] = {}

    async def make(one: Organisation) -> str:
        return await doors.ensure_organisation(one, ids[one.parent] if one.parent else None)

    waiting = region
    while waiting:
        ready = [one for one in waiting if one.parent is None or one.parent in ids]
        if not ready:
            raise DemoError(f"parents are missing for {', '.join(one.code for one in waiting)}")
        made = await _bounded(ready, make)
        ids |= {one.code: organisation_id for one, organisation_id in zip(ready, made, strict=True)}
        waiting = [one for one in waiting if one.code not in ids]
    return ids


async def _network(doors: Doors, network: str, region: list[Organisation], organisations: dict[str, str]) -> int:
    """Make one network's pages, register them and hand over their tokens; answers how many pages."""
    owners = [one for one in region if network in one.pages]

    async def connect(one: Organisation) -> tuple[str, str]:
        page = await doors.emulated_page(network, one)
        return str(page["id"]), await doors.ensure_page(network, organisations[one.code], one, page)

    pages = dict(await _bounded(owners, connect))
    tokens = await doors.tokens(network)
    await _bounded(
        [token for token in tokens if token.get("page") is None or str(token["page"]) in pages],
        lambda token: doors.hand_over(network, token, pages.get(str(token.get("page")))),
    )
    return len(pages)


async def _bounded(items: Iterable[Item], work: Callable[[Item], Awaitable[Result]]) -> list[Result]:
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(item: Item) -> Result:
        async with gate:
            return await work(item)

    return await asyncio.gather(*(one(item) for item in items))
