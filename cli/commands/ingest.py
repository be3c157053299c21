"""`gospablik ingest`: history, comparisons with the networks, and how each page is read."""

# ruff: noqa: PLC0415 - services start through this program: what only these commands need is loaded by them

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated

import typer

from shared.clock import REGION_ZONE

app = typer.Typer(
    help="Messages coming in: how each page is read, what was missed, history.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

Url = Annotated[str, typer.Option(help="Where the system is")]
User = Annotated[str, typer.Option(help="Who asks")]
Password = Annotated[
    str | None,
    typer.Option(
        envvar="GOSPABLIK_PASSWORD", help="Else asked for; in the embedded run it is known", show_default=False
    ),
]
PageName = Annotated[str, typer.Option("--page", help="vk.com/…, ok.ru/group/…, or our id")]
SomePage = Annotated[str | None, typer.Option("--page", help="vk.com/…, ok.ru/group/…, or our id; else all")]
SomeNetwork = Annotated[str | None, typer.Option("--network", help="vk or ok; else all")]

HERE = "http://127.0.0.1:8080"
CENTRE = "centre"
INTERRUPTED = 130


def moment(given: str) -> datetime:
    """A day or a moment as typed; without an offset it is the region's. Raises typer.BadParameter."""
    try:
        found = datetime.fromisoformat(given)
    except ValueError as error:
        raise typer.BadParameter(f"{given!r} is no day or moment: write 2026-01-01 or 2026-01-01T09:00") from error
    return found if found.tzinfo is not None else found.replace(tzinfo=REGION_ZONE)


def run(work: Callable[[], Awaitable[int]], interrupted: str) -> None:
    """Run to the end; a refusal is told in words, Ctrl-C ends the watching alone."""
    from cli.api_client.client import RemoteError

    async def whole() -> int:
        return await work()

    try:
        code = asyncio.run(whole())
    except RemoteError as error:
        typer.echo(str(error), err=True)
        code = 1
    except KeyboardInterrupt:
        typer.echo(interrupted, err=True)
        code = INTERRUPTED
    raise typer.Exit(code)


@app.command()
def backfill(
    *,
    page: PageName,
    since: Annotated[str, typer.Option(help="A day such as 2026-01-01, or a moment")],
    open_cases: Annotated[bool, typer.Option(help="What is found may open cases, however old it is")] = False,
    url: Url = HERE,
    user: User = CENTRE,
    password: Password = None,
) -> None:
    """Fetch a page's history and watch it come. Ctrl-C stops the watching; the same command watches again."""
    from cli.api_client import progress
    from cli.api_client.client import Access

    start = moment(since)
    access = Access(url, user, password)
    run(
        lambda: progress.backfill(access, page, start, open_cases=open_cases),
        "Not watched any more; it goes on by itself. The same command watches it again.",
    )


@app.command()
def sources(
    page: SomePage = None,
    network: SomeNetwork = None,
    url: Url = HERE,
    user: User = CENTRE,
    password: Password = None,
) -> None:
    """Show how each page is read: state, lag, ways in, tokens, errors, gaps."""
    from cli.api_client import progress
    from cli.api_client.client import Access

    access = Access(url, user, password)
    run(lambda: progress.sources(access, page, network), "Interrupted.")


@app.command()
def reconcile(
    *,
    page: SomePage = None,
    network: SomeNetwork = None,
    since: Annotated[str | None, typer.Option(help="Else from where the last comparison left off")] = None,
    url: Url = HERE,
    user: User = CENTRE,
    password: Password = None,
) -> None:
    """Compare pages with their networks now, and store what is missing."""
    from cli.api_client import progress
    from cli.api_client.client import Access

    start = None if since is None else moment(since)
    access = Access(url, user, password)
    run(
        lambda: progress.reconcile(access, page, network, start),
        "Not watched any more; it goes on by itself. `gospablik ingest sources` shows what it finds.",
    )
