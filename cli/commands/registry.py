"""The commands `gospablik registry`: import and export organisations and pages as a file."""

# ruff: noqa: PLC0415 - services start through this program: these commands load only what they need

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from cli.commands.common import DEFAULT_USER, LOCAL_URL, Password, Url, User, run_command

app = typer.Typer(
    help="Organisations and their pages: import and export.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


class Headings(StrEnum):
    """The language of the column headings of an export."""

    EN = "en"
    RU = "ru"


@app.command(name="import")
def import_file(
    *,
    file: Annotated[Path, typer.Argument(help="CSV or XLSX", exists=True, dir_okay=False, readable=True)],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print what would be changed")] = False,
    resolve_short_names: Annotated[
        bool,
        typer.Option(
            "--resolve-short-names",
            help="Look up in the networks the ids of pages that are given only by a short name",
        ),
    ] = False,
    url: Url = LOCAL_URL,
    user: User = DEFAULT_USER,
    password: Password = None,
) -> None:
    """Add and change organisations and pages from a file: all rows or none.

    If a cell is invalid, nothing is changed; invalid cells are listed with the reason, and the exit code is 1.
    """
    from cli.api_client import file_transfer
    from cli.api_client.client import Connection

    connection = Connection(url, user, password)
    run_command(
        lambda: file_transfer.import_file(
            connection, file, dry_run=dry_run, resolve_short_names=resolve_short_names
        ),
        "Interrupted. The import may still have been done: import the file again, repeating it changes nothing.",
    )


@app.command()
def export(
    *,
    file: Annotated[
        Path, typer.Argument(help="The file to write; its name ends in .csv or .xlsx", dir_okay=False)
    ],
    headings: Annotated[Headings, typer.Option(help="English field names or Russian headings")] = Headings.EN,
    url: Url = LOCAL_URL,
    user: User = DEFAULT_USER,
    password: Password = None,
) -> None:
    """Write all organisations and pages to a file that can be imported again."""
    from cli.api_client import file_transfer
    from cli.api_client.client import Connection

    if file.suffix.lower() not in file_transfer.FORMATS:
        raise typer.BadParameter(f"{file.name} must end in .csv or .xlsx")
    connection = Connection(url, user, password)
    run_command(
        lambda: file_transfer.export(connection, file, headings.value), "Interrupted: no file was written."
    )
