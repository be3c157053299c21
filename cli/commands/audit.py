"""`gospablik audit`: the chain of the audit trail, walked from its beginning."""

# ruff: noqa: PLC0415 - services start through this program: what only these commands need is loaded by them

import asyncio
import os
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from shared.audit.hash_chain import Head, Verdict

app = typer.Typer(
    help="The audit trail: whether anybody changed it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.callback()
def _group() -> None:
    """The audit trail: whether anybody changed it."""


@app.command()
def verify(
    noted: Annotated[
        str | None,
        typer.Option("--noted", help="A head noted earlier, POSITION:HASH: the chain must still go through it"),
    ] = None,
) -> None:
    """Walk the chain and name the first position that is wrong; exit code 1 when there is one.

    Prints the chain's head: note it elsewhere, for only that shows a chain cut off at its end or made anew.
    Reads GOSPABLIK_DATABASE_URL of any service's role; without it, the embedded run of this data folder.
    """
    from shared.audit.hash_chain import Head

    try:
        head = None if noted is None else Head.parse(noted)
    except ValueError as error:
        raise typer.BadParameter(f"{noted!r} is no head: {error}") from error
    verdict = asyncio.run(_walk(_database_url(), head))
    if verdict.broken is not None:
        typer.echo(f"position {verdict.broken.position}: {verdict.broken.what}", err=True)
        raise typer.Exit(1)
    typer.echo(f"the chain holds, head {verdict.head}" if verdict.head else "the trail is empty")
    if verdict.waiting:
        typer.echo(f"{verdict.waiting} rows are not chained yet")


def _database_url() -> str:
    if url := os.environ.get("GOSPABLIK_DATABASE_DIRECT_URL") or os.environ.get("GOSPABLIK_DATABASE_URL"):
        return url
    import json

    from cli.embedded.data_dir import Layout
    from cli.embedded.settings import EmbeddedSettings

    layout = Layout(EmbeddedSettings().data_dir.absolute())
    if not layout.stack.exists():
        raise typer.BadParameter(f"set GOSPABLIK_DATABASE_URL: nothing runs in {layout.root}")
    return str(json.loads(layout.stack.read_text(encoding="utf-8"))["owner_url"])


async def _walk(url: str, noted: "Head | None") -> "Verdict":
    from rich.console import Console
    from rich.progress import Progress
    from sqlalchemy import func, select

    from shared.audit.hash_chain import verify as walk
    from shared.database.sessions import Database
    from shared.tables.common import AuditEntry

    database = Database(url, 1, name="audit")
    try:
        async with database.read() as session:
            rows = await session.scalar(select(func.max(AuditEntry.position)))
            with Progress(console=Console(stderr=True), transient=True) as progress:
                task = progress.add_task("rows", total=rows or 0)
                return await walk(session, noted, lambda position: progress.update(task, completed=position))
    finally:
        await database.close()
