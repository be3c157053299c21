"""The commands `gospablik audit`: verify the hash chain of the audit trail."""

# ruff: noqa: PLC0415 - services start through this program: these commands load only what they need

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from shared.audit.hash_chain import ChainHead, VerificationResult

app = typer.Typer(
    help="Verify that the audit trail was not changed.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.callback()
def _group() -> None:
    """Verify that the audit trail was not changed."""


@app.command()
def verify(
    expected_head: Annotated[
        str | None,
        typer.Option(
            "--expected-head", help="A chain head noted earlier, POSITION:HASH: the chain must still contain it"
        ),
    ] = None,
) -> None:
    """Verify the chain and print the first wrong position; exit code 1 if there is one.

    Prints the chain's head. Keep it outside the database: without it, a truncated or rebuilt chain is not
    detected. Reads GOSPABLIK_DATABASE_URL of any service's role; without that variable, uses the embedded run.
    """
    from shared.audit.hash_chain import ChainHead

    try:
        head = None if expected_head is None else ChainHead.parse(expected_head)
    except ValueError as error:
        raise typer.BadParameter(f"{expected_head!r} is not a chain head: {error}") from error
    result = asyncio.run(_verify_chain(_database_url(), head))
    if result.error is not None:
        typer.echo(f"position {result.error.position}: {result.error.detail}", err=True)
        raise typer.Exit(1)
    typer.echo(f"the chain is intact, head {result.head}" if result.head else "the audit trail is empty")
    if result.unchained_count:
        typer.echo(f"rows not chained yet: {result.unchained_count}")


def _database_url() -> str:
    import json

    from cli.deployment.prepare import read_variables
    from cli.embedded.data_dir import DataDir
    from cli.embedded.settings import EmbeddedSettings

    variables = read_variables()
    if url := variables.get("GOSPABLIK_DATABASE_DIRECT_URL") or variables.get("GOSPABLIK_DATABASE_URL"):
        return url
    data_dir = DataDir(EmbeddedSettings().data_dir.absolute())
    if not data_dir.run_info.exists():
        raise typer.BadParameter(f"set GOSPABLIK_DATABASE_URL: no embedded run uses {data_dir.root} now")
    return str(json.loads(data_dir.run_info.read_text(encoding="utf-8"))["owner_url"])


async def _verify_chain(url: str, expected_head: "ChainHead | None") -> "VerificationResult":
    from rich.console import Console
    from rich.progress import Progress
    from sqlalchemy import func, select

    from shared.audit.hash_chain import verify as verify_chain
    from shared.database.sessions import Database
    from shared.tables.common import AuditEntry

    database = Database(url, 1, name="audit")
    try:
        async with database.read() as session:
            rows = await session.scalar(select(func.max(AuditEntry.position)))
            with Progress(console=Console(stderr=True), transient=True) as progress:
                task = progress.add_task("rows", total=rows or 0)
                return await verify_chain(
                    session, expected_head, lambda position: progress.update(task, completed=position)
                )
    finally:
        await database.close()
