"""`gospablik registry`: organisations and pages as a file, in and out."""

# ruff: noqa: PLC0415 - services start through this program: what only these commands need is loaded by them

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from cli.commands.ingest import CENTRE, HERE, Password, Url, User, run

app = typer.Typer(
    help="Organisations and their pages: import and export.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


class Headings(StrEnum):
    """Headings of an export."""

    EN = "en"
    RU = "ru"


@app.command(name="import")
def import_file(
    *,
    file: Annotated[Path, typer.Argument(help="CSV or XLSX", exists=True, dir_okay=False, readable=True)],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done")] = False,
    resolve: Annotated[
        bool, typer.Option("--resolve", help="Ask the networks for the ids of pages given by a short name alone")
    ] = False,
    url: Url = HERE,
    user: User = CENTRE,
    password: Password = None,
) -> None:
    """Bring the registry to what a file says, whole or not at all.

    Ends with 1 when a cell cannot be taken; each is listed with its reason.
    """
    from cli.api_client import file_transfer
    from cli.api_client.client import Access

    access = Access(url, user, password)
    run(
        lambda: file_transfer.import_file(access, file, dry_run=dry_run, resolve=resolve),
        "Interrupted. It may be done all the same: import the file again, what is done already changes nothing.",
    )


@app.command()
def export(
    *,
    file: Annotated[
        Path, typer.Argument(help="Where to write: a name that ends in .csv or .xlsx", dir_okay=False)
    ],
    headings: Annotated[Headings, typer.Option(help="English field names or Russian headings")] = Headings.EN,
    url: Url = HERE,
    user: User = CENTRE,
    password: Password = None,
) -> None:
    """Write the whole registry to a file that can be imported again."""
    from cli.api_client import file_transfer
    from cli.api_client.client import Access

    if file.suffix.lower() not in file_transfer.FORMATS:
        raise typer.BadParameter(f"{file.name} ends neither in .csv nor in .xlsx")
    access = Access(url, user, password)
    run(lambda: file_transfer.export(access, file, headings.value), "Interrupted: no file was written.")
