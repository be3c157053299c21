"""The commands `gospablik ingest`: backfill, reconcile, and show the state of sources."""

# ruff: noqa: PLC0415 - services start through this program: these commands load only what they need

from datetime import datetime
from typing import Annotated

import typer

from cli.commands.common import DEFAULT_USER, LOCAL_URL, Password, Url, User, run_command
from shared.clock import REGION_TIME_ZONE
from shared.networks import NETWORKS

app = typer.Typer(
    help="Intake of messages: backfill history, find missed messages, show how pages are read.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

PageName = Annotated[str, typer.Option("--page", help="vk.com/…, ok.ru/group/…, or the id in the registry")]
OptionalPage = Annotated[
    str | None, typer.Option("--page", help="vk.com/…, ok.ru/group/…, or the id in the registry; all if not given")
]
OptionalNetwork = Annotated[
    str | None, typer.Option("--network", help=f"{' or '.join(NETWORKS)}; all if not given")
]


def parse_moment(given: str) -> datetime:
    """Return the moment that the user typed, by default in the region's time zone.

    Raises typer.BadParameter if it is not a date or time in ISO format.
    """
    try:
        found = datetime.fromisoformat(given)
    except ValueError as error:
        raise typer.BadParameter(
            f"{given!r} is not a date or time: write 2026-01-01 or 2026-01-01T09:00"
        ) from error
    return found if found.tzinfo is not None else found.replace(tzinfo=REGION_TIME_ZONE)


@app.command()
def backfill(
    *,
    page: PageName,
    since: Annotated[str, typer.Option(help="A date such as 2026-01-01, or a date and time")],
    open_appeals: Annotated[
        bool,
        typer.Option(
            "--open-appeals/--no-open-appeals", help="Messages found may open appeals, however old they are"
        ),
    ] = False,
    url: Url = LOCAL_URL,
    user: User = DEFAULT_USER,
    password: Password = None,
) -> None:
    """Fetch a page's history and show the progress. Ctrl-C hides it; the same command shows it again."""
    from cli.api_client import progress
    from cli.api_client.client import Connection

    start = parse_moment(since)
    connection = Connection(url, user, password)
    run_command(
        lambda: progress.follow_backfill(connection, page, start, open_appeals=open_appeals),
        "The backfill goes on without this command. Run the same command again to follow it.",
    )


@app.command()
def sources(
    page: OptionalPage = None,
    network: OptionalNetwork = None,
    url: Url = LOCAL_URL,
    user: User = DEFAULT_USER,
    password: Password = None,
) -> None:
    """Show how each page is read: state, lag, sources, tokens, errors, gaps."""
    from cli.api_client import progress
    from cli.api_client.client import Connection

    connection = Connection(url, user, password)
    run_command(lambda: progress.print_sources(connection, page, network), "Interrupted.")


@app.command()
def reconcile(
    *,
    page: OptionalPage = None,
    network: OptionalNetwork = None,
    since: Annotated[str | None, typer.Option(help="If not given, the end of the last comparison")] = None,
    url: Url = LOCAL_URL,
    user: User = DEFAULT_USER,
    password: Password = None,
) -> None:
    """Compare pages with their networks now, and store missing messages."""
    from cli.api_client import progress
    from cli.api_client.client import Connection

    start = None if since is None else parse_moment(since)
    connection = Connection(url, user, password)
    run_command(
        lambda: progress.follow_reconciliation(connection, page, network, start),
        "The reconciliation goes on without this command. `gospablik ingest sources` shows what it finds.",
    )
