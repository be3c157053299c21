"""Print the tables of `gospablik ingest` and the progress of backfills and reconciliations."""

import asyncio
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from cli.api_client.client import ApiClient, ApiError, Connection, signed_in
from cli.api_client.page_lookup import find_page
from shared.clock import REGION_TIME_ZONE

POLL_SECONDS = 1.0
FINAL_STATUSES = {"done", "failed", "cancelled"}
# The wait ends after this many polls in a row without a change.
MAX_UNCHANGED_POLLS = 20

console = Console(highlight=False)


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[text]}"),
        TimeElapsedColumn(),
        console=console,
    )


async def follow_backfill(connection: Connection, page_name: str, since: datetime, *, open_appeals: bool) -> int:
    """Start a backfill of a page, or find its running backfill, and show the progress. Return the exit code."""
    async with signed_in(connection) as client:
        page = await find_page(client, page_name)
        body = {"since": since.isoformat(), "open_appeals": open_appeals}
        status, run = await client.post(f"/sources/{page['id']}/backfills", body, accept_status=409)
        if status == 409:
            if "backfill_id" not in run:
                raise ApiError(str(run.get("detail")))
            run = await client.get(f"/sources/backfills/{run['backfill_id']}")
            console.print(
                f"A backfill of «{page['name']}» since {_format_date(run['since'])} is already running: "
                "showing its progress."
            )
        with _progress() as progress:
            bar = progress.add_task(page["name"], total=1.0, text="")
            while True:
                progress.update(bar, completed=run["progress"], text=_progress_text(run))
                if run["status"] in FINAL_STATUSES:
                    break
                await asyncio.sleep(POLL_SECONDS)
                run = await client.get(f"/sources/backfills/{run['id']}")
    console.print(f"{run['status']}: {run['items_read']} read, {run['messages_added']} of them new")
    if run["error"]:
        console.print(run["error"])
    return 0 if run["status"] == "done" else 1


def _progress_text(row: dict[str, Any]) -> str:
    text = f"{row['items_read']} read, {row['messages_added']} new"
    return f"{text} · {row['error'][:80]}" if row["error"] else text


async def follow_reconciliation(
    connection: Connection, page_name: str | None, network: str | None, since: datetime | None
) -> int:
    """Start the reconciliation of one page or all pages and show its progress. Return the exit code."""
    body: dict[str, Any] = {} if since is None else {"since": since.isoformat()}
    async with signed_in(connection) as client:
        if page_name is not None:
            page = await find_page(client, page_name)
            _, started = await client.post(f"/sources/{page['id']}/reconciliations", body)
            query = {"page_id": page["id"], "started_from": started["started_at"]}
        else:
            _, started = await client.post(
                "/sources/reconciliations", body | ({"network": network} if network else {})
            )
            if not started["page_count"]:
                raise ApiError("There is no page to compare: register one, or give another --network")
            query = {"network": network, "started_from": started["started_at"]}
        summary = await _wait_until_compared(client, query)
    table = Table("pages", "compared", "gaps", "within grace", "edited", "deleted")
    names = ("compared", "gaps", "within_grace", "edited", "deleted")
    table.add_row(f"{summary['finished']} of {summary['requested']}", *(str(summary[name]) for name in names))
    console.print(table)
    if summary["finished"] < summary["requested"]:
        console.print("The other pages cannot be compared now and are retried. See `gospablik ingest sources`.")
        return 1
    return 0


async def _wait_until_compared(client: ApiClient, query: dict[str, Any]) -> dict[str, Any]:
    """Return the summary once all pages are compared, or once the rest keep failing without a change."""
    unchanged, previous = 0, None
    with _progress() as progress:
        bar = progress.add_task("compared", total=None, text="")
        while True:
            summary = await client.get("/sources/reconciliations/summary", **query)
            text = f"{summary['compared']} messages, {summary['gaps']} gaps"
            text += f" · {summary['failing']} failing" if summary["failing"] else ""
            progress.update(bar, total=summary["requested"], completed=summary["finished"], text=text)
            if summary["finished"] >= summary["requested"]:
                return summary
            stuck = summary["finished"] + summary["failing"] >= summary["requested"] and summary == previous
            unchanged, previous = unchanged + 1 if stuck else 0, summary
            if unchanged >= MAX_UNCHANGED_POLLS:
                return summary
            await asyncio.sleep(POLL_SECONDS)


async def print_sources(connection: Connection, page_name: str | None, network: str | None) -> int:
    """Print a table of how pages are read. Return 0 if all are healthy or not read yet, else 1."""
    table = Table("page", "network", "state", "lag", "token", "last message", "gaps", "compared", "problems")
    healthy = True
    async with signed_in(connection) as client:
        page_id = None if page_name is None else (await find_page(client, page_name))["id"]
        async for page in client.items("/sources", network=network, page_id=page_id):
            healthy = healthy and page["state"] in {"healthy", "not_read_yet"}
            table.add_row(*_row(page))
    console.print(table)
    return 0 if healthy else 1


def _row(page: dict[str, Any]) -> tuple[str, ...]:
    last = page["last_reconciliation"]
    last_message = (
        f"{_format_time(page['last_message_at'])} {page['last_message_source']}" if page["last_message_at"] else ""
    )
    problems = [f"{one['kind']}: {one['last_error']}" for one in page["sources"] if one["consecutive_failures"]]
    if page["token"]["reason"]:
        problems.insert(0, f"token: {page['token']['reason']}")
    if page["callback"] and page["callback"]["state"] == "failed":
        problems.append(f"callback: {page['callback']['reason']}")
    return (
        page["name"],
        page["network"],
        page["state"],
        _format_duration(page["lag_seconds"]),
        page["token"]["state"],
        last_message,
        str(page["gaps"]),
        _format_time(last["finished_at"]) if last and last["finished_at"] else "",
        "\n".join(problems),
    )


def _format_duration(seconds: float | None) -> str:
    if seconds is None:
        return ""
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"


def _format_date(time: str) -> str:
    return datetime.fromisoformat(time).astimezone(REGION_TIME_ZONE).date().isoformat()


def _format_time(time: str) -> str:
    return datetime.fromisoformat(time).astimezone(REGION_TIME_ZONE).strftime("%Y-%m-%d %H:%M")
