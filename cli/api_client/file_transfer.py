"""Import files into a running system and download files from it, with progress and results printed."""

import asyncio
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from cli.api_client.client import ApiError, Connection, signed_in
from cli.atomic_files import FileNotWrittenError, atomic_write

FORMATS = {".csv": "csv", ".xlsx": "xlsx"}
# The number of changed rows that a dry run lists; further rows are only counted.
MAX_LISTED_CHANGES = 50

console = Console(highlight=False)


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn(), console=console
    )


async def import_file(connection: Connection, file: Path, *, dry_run: bool, resolve_short_names: bool) -> int:
    """Send a file and print the changes made or, in a dry run, found. Return 1 if cells were rejected, else 0."""
    content = await asyncio.to_thread(file.read_bytes)
    async with signed_in(connection) as client:
        with _progress() as progress:
            bar = progress.add_task("Sending", total=len(content))

            def show_progress(size: int) -> None:
                progress.update(bar, completed=size)
                if size == len(content):
                    progress.update(
                        bar, description="Comparing" if dry_run else "Comparing and writing", total=None
                    )

            status, answer = await client.send_file(
                "/organisations/import",
                content,
                on_progress=show_progress,
                accept_status=422,
                dry_run=dry_run,
                resolve_short_names=resolve_short_names,
            )
            progress.update(bar, description="Done", total=len(content))
    if status == 422 and "rejected_cells" not in answer:
        raise ApiError(f"{file.name}: {answer.get('detail')}")
    if status < 300:
        _show_report(answer)
    _show_rejected(answer)
    return 1 if answer["rejected_cell_count"] else 0


def _show_report(report: dict[str, Any]) -> None:
    table = Table("", "added", "changed", "unchanged")
    for kind in ("organisations", "pages"):
        table.add_row(kind, *(str(report[kind][outcome]) for outcome in ("added", "changed", "unchanged")))
    if report["dry_run"] and report["entries"]:
        _show_entries(report["entries"])
    console.print(table)
    if report["ignored_columns"]:
        ignored = escape(", ".join(report["ignored_columns"]))
        console.print(f"Columns that the registry does not have: {ignored}")
    if report["dry_run"]:
        console.print("A dry run: nothing was changed.")


def _show_entries(entries: list[dict[str, Any]]) -> None:
    table = Table("row", "", "", "name", "what changes")
    for entry in entries[:MAX_LISTED_CHANGES]:
        changes = "; ".join(
            f"{one['cell']} {one['field']}: {one['before'] or '—'} → {one['after'] or '—'}"
            for one in entry["changes"]
        )
        cells = (str(entry["row"]), entry["outcome"], entry["kind"], entry["name"], changes)
        table.add_row(*map(escape, cells))
    console.print(table)
    if len(entries) > MAX_LISTED_CHANGES:
        console.print(f"… and {len(entries) - MAX_LISTED_CHANGES} more")


def _show_rejected(answer: dict[str, Any]) -> None:
    rejected = answer["rejected_cells"]
    if not rejected:
        return
    table = Table("cell", "column", "value", "why it is invalid")
    for one in rejected:
        table.add_row(*(escape(one[name]) for name in ("cell", "column", "value", "reason")))
    console.print(table)
    summary = f"Nothing was changed. Invalid cells: {answer['rejected_cell_count']}"
    more = answer["rejected_cell_count"] - len(rejected)
    console.print(f"{summary}, {more} of them not shown." if more else f"{summary}.")


async def export(connection: Connection, file: Path, headings: str) -> int:
    """Download the registry into a file and return the exit code."""
    kind = FORMATS[file.suffix.lower()]
    return await save(connection, "/organisations/export", file, format=kind, headings=headings)


async def save(connection: Connection, path: str, file: Path, **query: str) -> int:
    """Call `download`, with its `FileNotWrittenError` raised as `ApiError`. Return the exit code."""
    try:
        return await download(connection, path, file, private=False, **query)
    except FileNotWrittenError as error:
        raise ApiError(str(error)) from error


async def download(connection: Connection, path: str, file: Path, *, private: bool = False, **query: str) -> int:
    """Replace a file with a download from the API and return the exit code. `private`: as for `atomic_write`.

    Raises `FileNotWrittenError` if the file cannot be written (mostly found before the request is sent) and
    `ApiError` if the download fails.
    """
    with atomic_write(file, private=private) as out:
        async with signed_in(connection) as client:
            with _progress() as progress:
                bar = progress.add_task("Downloading", total=None)
                content = await client.download(
                    path, on_progress=lambda size: progress.update(bar, completed=size), **query
                )
                progress.update(bar, description="Done", total=len(content))
        out.write(content)
    return 0
