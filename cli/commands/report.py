"""The commands `gospablik report`: download reports."""

# ruff: noqa: PLC0415 - services start through this program: these commands load only what they need

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from cli.commands.common import DEFAULT_USER, LOCAL_URL, Password, Url, User, run_command

app = typer.Typer(
    help="Reports for the leadership.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


class ReportFormat(StrEnum):
    """The format of a report."""

    HTML = "html"
    PDF = "pdf"
    XLSX = "xlsx"
    JSON = "json"


@app.callback()
def _group() -> None:
    """Reports for the leadership."""


@app.command()
def weekly(
    *,
    week: Annotated[
        str | None, typer.Option(help="ISO week, such as 2026-W47. If not given: the last complete week")
    ] = None,
    format_: Annotated[ReportFormat, typer.Option("--format", help="The format of the report")] = ReportFormat.PDF,
    out: Annotated[
        Path | None,
        typer.Option(
            help="The file to write. If not given: weekly-report-2026-W47.pdf in this folder", dir_okay=False
        ),
    ] = None,
    url: Url = LOCAL_URL,
    user: User = DEFAULT_USER,
    password: Password = None,
) -> None:
    """Download the report of a week: the published one or, before publication, a preliminary one."""
    from cli.api_client import file_transfer
    from cli.api_client.client import Connection

    wanted = week or _last_complete_week()
    file = out or Path(f"weekly-report-{wanted}.{format_}")
    connection = Connection(url, user, password)
    run_command(
        lambda: file_transfer.save(connection, f"/reports/weekly/{wanted}.{format_}", file),
        "Interrupted: no file was written.",
    )


def _last_complete_week() -> str:
    from datetime import timedelta

    from shared import clock

    year, number, _ = (clock.today() - timedelta(weeks=1)).isocalendar()
    return f"{year}-W{number:02}"
