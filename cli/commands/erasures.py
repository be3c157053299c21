"""The commands `gospablik erase` (personal data, on request) and `gospablik erasures` (the records)."""

# ruff: noqa: PLC0415 - services start through this program: these commands load only what they need

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from cli.commands.common import DEFAULT_USER, LOCAL_URL, Password, Url, User, run_command

INTERRUPTED = "The erasure goes on without this command. `gospablik erasures` shows its state."


class Ground(StrEnum):
    """Why personal data is erased."""

    REQUEST_OF_THE_PERSON = "request_of_the_person"
    CONSENT_WITHDRAWN = "consent_withdrawn"
    COURT_OR_REGULATOR = "court_or_regulator"
    OTHER = "other"


def erase(
    *,
    author_key: Annotated[str | None, typer.Argument(help="`author_key` of a message")] = None,
    appeal: Annotated[
        int | None, typer.Option(help="Number of an appeal of the author, instead of the key")
    ] = None,
    message: Annotated[str | None, typer.Option(help="Id of a message of the author, instead of the key")] = None,
    ground: Annotated[Ground, typer.Option(help="Why the data is erased")] = Ground.REQUEST_OF_THE_PERSON,
    reference: Annotated[
        str | None, typer.Option(help="Number of the document that requests it; no personal data")
    ] = None,
    repeat: Annotated[
        Path | None,
        typer.Option(
            help="Saved output of `gospablik erasures`: repeat these erasures after a restore",
            exists=True,
            dir_okay=False,
            readable=True,
        ),
    ] = None,
    url: Url = LOCAL_URL,
    user: User = DEFAULT_USER,
    password: Password = None,
) -> None:
    """Erase everything that a citizen wrote until now. This cannot be undone.

    Prints the record of the erasure when it is finished.
    """
    from cli.api_client import erasures
    from cli.api_client.client import Connection

    connection = Connection(url, user, password)
    named = [one for one in (author_key, appeal, message, repeat) if one is not None]
    if len(named) != 1:
        raise typer.BadParameter("give exactly one of the author's key, --appeal, --message and --repeat")
    if repeat is not None:
        run_command(lambda: erasures.repeat(connection, repeat), INTERRUPTED)
    if reference is None:
        raise typer.BadParameter("give --reference: the number of the document that requests the erasure")
    run_command(
        lambda: erasures.erase(
            connection,
            author_key=author_key,
            appeal=appeal,
            message_id=message,
            ground=ground.value,
            reference=reference,
        ),
        INTERRUPTED,
    )


def list_erasures(url: Url = LOCAL_URL, user: User = DEFAULT_USER, password: Password = None) -> None:
    """Print the records of all erasures as JSON lines. Keep them outside the database: after a restore of the
    database, the erasures are repeated from them.
    """
    from cli.api_client import erasures
    from cli.api_client.client import Connection

    run_command(lambda: erasures.print_erasures(Connection(url, user, password)), "Interrupted.")
