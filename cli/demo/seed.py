"""Fill a new run with the demo's region through the public API."""

import asyncio
import os
import subprocess
from collections.abc import Awaitable, Callable, Iterable
from hashlib import sha256
from importlib.resources import files
from typing import TypeVar

import aiohttp

from cli.demo.demo_api import DemoApi, DemoError
from cli.demo.region import Organisation, load
from cli.embedded.data_dir import DataDir
from cli.embedded.programs import CLI_COMMAND, ProgramSpecs
from cli.embedded.settings import EMULATED_NETWORKS, EmbeddedSettings

# The people `org`, `manager` and `approver` work here: a school with pages in both networks.
ORG_CODE = "school71-ulanude"

_MAX_CONCURRENT_CALLS = 8

Item = TypeVar("Item")
Result = TypeVar("Result")


def seed_demo(settings: EmbeddedSettings, data_dir: DataDir, programs: ProgramSpecs) -> str:
    """Create missing people, organisations, pages and tokens, then make the emulated citizens write.

    Return one line about what exists. In a run that is already filled nothing is created.
    """
    return asyncio.run(_fill(settings, data_dir, programs))


def _create_people(programs: ProgramSpecs, organisation: str | None) -> None:
    arguments = [*CLI_COMMAND, "create-demo-people", *(["--organisation", organisation] if organisation else [])]
    environment = os.environ | programs.service_environment("registry")
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode != 0:
        last = "\n".join(done.stderr.splitlines()[-15:])
        raise DemoError(f"the people of the demo could not be created:\n{last}")


def _write_history(settings: EmbeddedSettings, data_dir: DataDir, programs: ProgramSpecs) -> str:
    """Write the made-up history once, as the owner of the tables. Return what was written, for the summary."""
    if settings.demo_weeks == 0 or data_dir.load_state().get("demo_history"):
        return ""
    owner = {"GOSPABLIK_DATABASE_URL": programs.owner_url}
    done = subprocess.run(  # noqa: S603 - our own command
        [*CLI_COMMAND, "write-demo-history", "--weeks", str(settings.demo_weeks)],
        env=os.environ | programs.service_environment("appeals") | owner,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        last = "\n".join(done.stderr.splitlines()[-15:])
        raise DemoError(f"the history of the demo could not be written:\n{last}")
    data_dir.save_state(demo_history=True)
    return f"; {done.stdout.strip()}"


async def _fill(settings: EmbeddedSettings, data_dir: DataDir, programs: ProgramSpecs) -> str:
    region = load()
    timeout = aiohttp.ClientTimeout(total=30)
    async with aiohttp.ClientSession(timeout=timeout) as http:
        api = DemoApi(settings, http)
        filled_before = data_dir.load_state().get("demo") == _region_digest()
        await _sign_in(api, programs, known=filled_before)
        # The state file may be older than the database: check that the database is filled too.
        if filled_before and await api.organisation(ORG_CODE) is not None:
            await api.wait_until_followed()
            history = await asyncio.to_thread(_write_history, settings, data_dir, programs)
            await api.enable_citizens()
            return f"the region already exists{history}"
        organisations = await _create_organisations(api, region)
        connected = await asyncio.gather(
            *(_connect_network(api, network, region, organisations) for network in EMULATED_NETWORKS)
        )
        await asyncio.to_thread(_create_people, programs, organisations[ORG_CODE])
        await api.wait_until_followed()
        data_dir.save_state(demo=_region_digest())
        # Before citizens write: a database with appeals gets no history.
        history = await asyncio.to_thread(_write_history, settings, data_dir, programs)
        await api.enable_citizens()
    return f"{len(organisations)} organisations, {sum(connected)} pages{history}"


def _region_digest() -> str:
    return sha256(files("cli.demo").joinpath("region.csv").read_bytes()).hexdigest()


async def _sign_in(api: DemoApi, programs: ProgramSpecs, *, known: bool) -> None:
    """Sign in as `centre`; create the people of the demo first unless they are known and can sign in."""
    if known:
        try:
            await api.sign_in("centre", "demo")
        except DemoError:
            known = False
    if not known:
        await asyncio.to_thread(_create_people, programs, None)
        await api.sign_in("centre", "demo")


async def _create_organisations(api: DemoApi, region: list[Organisation]) -> dict[str, str]:
    """Create the organisations, parents before children, and return their ids by code."""
    ids: dict[str, str] = {}

    async def make(one: Organisation) -> str:
        return await api.ensure_organisation(one, ids[one.parent] if one.parent else None)

    waiting = region
    while waiting:
        ready = [one for one in waiting if one.parent is None or one.parent in ids]
        if not ready:
            raise DemoError(f"region.csv does not contain the parents of {', '.join(one.code for one in waiting)}")
        made = await _run_bounded(ready, make)
        ids |= {one.code: organisation_id for one, organisation_id in zip(ready, made, strict=True)}
        waiting = [one for one in waiting if one.code not in ids]
    return ids


async def _connect_network(
    api: DemoApi, network: str, region: list[Organisation], organisations: dict[str, str]
) -> int:
    """Create the pages of one network, register them and store their tokens. Return the number of pages."""
    owners = [one for one in region if network in one.pages]

    async def connect(one: Organisation) -> tuple[str, str]:
        page = await api.emulated_page(network, one)
        return str(page["id"]), await api.ensure_page(network, organisations[one.code], one, page)

    pages = dict(await _run_bounded(owners, connect))
    tokens = await api.tokens(network)
    await _run_bounded(
        [token for token in tokens if token.get("page") is None or str(token["page"]) in pages],
        lambda token: api.add_token(network, token, pages.get(str(token.get("page")))),
    )
    return len(pages)


async def _run_bounded(items: Iterable[Item], work: Callable[[Item], Awaitable[Result]]) -> list[Result]:
    gate = asyncio.Semaphore(_MAX_CONCURRENT_CALLS)

    async def one(item: Item) -> Result:
        async with gate:
            return await work(item)

    return await asyncio.gather(*(one(item) for item in items))
