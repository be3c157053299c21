"""What `gospablik ingest` prints: tables, and the progress of work that goes on without it."""

import asyncio
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from cli.api_client.client import Access, Remote, RemoteError, signed_in
from cli.api_client.page_lookup import find_page
from shared.clock import REGION_ZONE

LOOK_SECONDS = 1.0
ENDED = {"done", "failed", "cancelled"}
# Looks in a row at which nothing moves any more.
STILL = 20

console = Console(highlight=False)


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[said]}"),
        TimeElapsedColumn(),
        console=console,
    )


async def backfill(access: Access, given: str, since: datetime, *, open_cases: bool) -> int:
    """Ask for a page's history, or find the backfill that runs, and watch it; answers the exit code."""
    async with signed_in(access) as remote:
        page = await find_page(remote, given)
        body = {"since": since.isoformat(), "open_cases": open_cases}
        status, asked = await remote.post(f"/sources/{page['id']}/backfills", body, also=409)
        if status == 409:
            if "backfill_id" not in asked:
                raise RemoteError(str(asked.get("detail")))
            asked = await remote.get(f"/sources/backfills/{asked['backfill_id']}")
            console.print(
                f"A backfill of «{page['name']}» since {_day(asked['since'])} is under way: watching it."
            )
        with _progress() as progress:
            bar = progress.add_task(page["name"], total=1.0, said="")
            while True:
                progress.update(bar, completed=asked["share"], said=_said(asked))
                if asked["status"] in ENDED:
                    break
                await asyncio.sleep(LOOK_SECONDS)
                asked = await remote.get(f"/sources/backfills/{asked['id']}")
    console.print(f"{asked['status']}: {asked['found']} found, {asked['stored']} of them new")
    if asked["error"]:
        console.print(asked["error"])
    return 0 if asked["status"] == "done" else 1


def _said(row: dict[str, Any]) -> str:
    said = f"{row['found']} found, {row['stored']} new"
    return f"{said} · {row['error'][:80]}" if row["error"] else said


async def reconcile(access: Access, given: str | None, network: str | None, since: datetime | None) -> int:
    """Have one page or all compared and watch it; answers the exit code."""
    body: dict[str, Any] = {} if since is None else {"since": since.isoformat()}
    async with signed_in(access) as remote:
        if given is not None:
            page = await find_page(remote, given)
            _, asked = await remote.post(f"/sources/{page['id']}/reconciliations", body)
            query = {"page_id": page["id"], "started_from": asked["started_at"]}
        else:
            _, asked = await remote.post(
                "/sources/reconciliations", body | ({"network": network} if network else {})
            )
            if not asked["pages"]:
                raise RemoteError("No page is followed there")
            query = {"network": network, "started_from": asked["started_at"]}
        summary = await _until_compared(remote, query)
    table = Table("pages", "compared", "gaps", "late", "edited", "deleted")
    names = ("compared", "gaps", "late", "edited", "deleted")
    table.add_row(f"{summary['finished']} of {summary['asked']}", *(str(summary[name]) for name in names))
    console.print(table)
    if summary["finished"] < summary["asked"]:
        console.print("The others cannot be compared now; they are tried again. See `gospablik ingest sources`.")
        return 1
    return 0


async def _until_compared(remote: Remote, query: dict[str, Any]) -> dict[str, Any]:
    """Watch until all is finished, or until all that is left rests in trouble."""
    still, before = 0, None
    with _progress() as progress:
        bar = progress.add_task("compared", total=None, said="")
        while True:
            found = await remote.get("/sources/reconciliations/summary", **query)
            said = f"{found['compared']} messages, {found['gaps']} gaps"
            said += f" · {found['in_trouble']} in trouble" if found["in_trouble"] else ""
            progress.update(bar, total=found["asked"], completed=found["finished"], said=said)
            if found["finished"] >= found["asked"]:
                return found
            stuck = found["finished"] + found["in_trouble"] >= found["asked"] and found == before
            still, before = still + 1 if stuck else 0, found
            if still >= STILL:
                return found
            await asyncio.sleep(LOOK_SECONDS)


async def sources(access: Access, given: str | None, network: str | None) -> int:
    """Print how pages are read; answers 1 when one of them is not well."""
    table = Table("page", "network", "state", "lag", "token", "last message", "gaps", "compared", "trouble")
    well = True
    async with signed_in(access) as remote:
        page_id = None if given is None else (await find_page(remote, given))["id"]
        async for one in remote.items("/sources", network=network, page_id=page_id):
            well = well and one["state"] in {"healthy", "waiting"}
            table.add_row(*_row(one))
    console.print(table)
    return 0 if well else 1


def _row(one: dict[str, Any]) -> tuple[str, ...]:
    last = one["last_reconciliation"]
    brought = f"{_time(one['last_message_at'])} {one['last_message_way']}" if one["last_message_at"] else ""
    trouble = [f"{way['way']}: {way['last_error']}" for way in one["ways"] if way["failures"]]
    if one["token"]["reason"]:
        trouble.insert(0, f"token: {one['token']['reason']}")
    if one["push"] and one["push"]["state"] == "failed":
        trouble.append(f"push: {one['push']['reason']}")
    return (
        one["name"],
        one["network"],
        one["state"],
        _span(one["lag_seconds"]),
        one["token"]["state"],
        brought,
        str(one["gaps"]),
        _time(last["finished_at"]) if last and last["finished_at"] else "",
        "\n".join(trouble),
    )


def _span(seconds: float | None) -> str:
    if seconds is None:
        return ""
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"


def _day(moment: str) -> str:
    return datetime.fromisoformat(moment).astimezone(REGION_ZONE).date().isoformat()


def _time(moment: str) -> str:
    return datetime.fromisoformat(moment).astimezone(REGION_ZONE).strftime("%Y-%m-%d %H:%M")
