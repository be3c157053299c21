"""What commands do with files of a running system: send and fetch them, and print what became of them."""

import asyncio
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from cli.api_client.client import Access, RemoteError, signed_in
from cli.atomic_files import NotWrittenError, replacing

FORMATS = {".csv": "csv", ".xlsx": "xlsx"}
# Changes of a dry run that are worth reading; the rest is counted.
LISTED = 50

console = Console(highlight=False)


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn(), console=console
    )


async def import_file(access: Access, file: Path, *, dry_run: bool, resolve: bool) -> int:
    """Send a file and print what it did or would do; answers the exit code, 1 when cells were refused."""
    content = await asyncio.to_thread(file.read_bytes)
    async with signed_in(access) as remote:
        with _progress() as progress:
            bar = progress.add_task("Sending", total=len(content))

            def sent(size: int) -> None:
                progress.update(bar, completed=size)
                if size == len(content):
                    progress.update(
                        bar, description="Comparing" if dry_run else "Comparing and writing", total=None
                    )

            status, answer = await remote.send_file(
                "/organisations/import", content, sent=sent, also=422, dry_run=dry_run, resolve=resolve
            )
            progress.update(bar, description="Done", total=len(content))
    if status == 422 and "refused" not in answer:
        raise RemoteError(f"{file.name}: {answer.get('detail')}")
    if status < 300:
        _show_report(answer)
    _show_refused(answer)
    return 1 if answer["refused_count"] else 0


def _show_report(report: dict[str, Any]) -> None:
    table = Table("", "added", "changed", "unchanged")
    for kind in ("organisations", "pages"):
        table.add_row(kind, *(str(report[kind][outcome]) for outcome in ("added", "changed", "unchanged")))
    if report["dry_run"] and report["things"]:
        _show_things(report["things"])
    console.print(table)
    if report["ignored_columns"]:
        ignored = escape(", ".join(report["ignored_columns"]))
        console.print(f"Columns that name nothing the registry keeps: {ignored}")
    if report["dry_run"]:
        console.print("A dry run: nothing was changed.")


def _show_things(things: list[dict[str, Any]]) -> None:
    table = Table("row", "", "", "name", "what changes")
    for thing in things[:LISTED]:
        changes = "; ".join(
            f"{one['cell']} {one['field']}: {one['before'] or '—'} → {one['after'] or '—'}"
            for one in thing["changed"]
        )
        told = (str(thing["row"]), thing["outcome"], thing["subject"], thing["name"], changes)
        table.add_row(*map(escape, told))
    console.print(table)
    if len(things) > LISTED:
        console.print(f"… and {len(things) - LISTED} more")


def _show_refused(answer: dict[str, Any]) -> None:
    refused = answer["refused"]
    if not refused:
        return
    table = Table("cell", "column", "value", "why it cannot be taken")
    for one in refused:
        table.add_row(*(escape(one[name]) for name in ("cell", "column", "value", "reason")))
    console.print(table)
    told = f"Nothing was changed. Cells that cannot be taken: {answer['refused_count']}"
    more = answer["refused_count"] - len(refused)
    console.print(f"{told}, {more} of them not shown." if more else f"{told}.")


async def export(access: Access, file: Path, headings: str) -> int:
    """Fetch the registry into a file; answers the exit code."""
    kind = FORMATS[file.suffix.lower()]
    try:
        return await fetch(access, "/organisations/export", file, format=kind, headings=headings)
    except NotWrittenError as error:
        raise RemoteError(str(error)) from error


async def fetch(access: Access, path: str, file: Path, **query: str) -> int:
    """Fetch what the API writes as a file, which is replaced whole; answers the exit code. Raises `RemoteError`,
    and `NotWrittenError` before anything is asked.
    """
    with replacing(file) as out:
        async with signed_in(access) as remote:
            with _progress() as progress:
                bar = progress.add_task("Fetching", total=None)
                content = await remote.file(
                    path, received=lambda size: progress.update(bar, completed=size), **query
                )
                progress.update(bar, description="Done", total=len(content))
        out.write(content)
    return 0
