"""Options and error handling that several command groups share."""

# ruff: noqa: PLC0415 - services start through this program: these commands load only what they need

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

if TYPE_CHECKING:
    from pydantic_settings import BaseSettings

S = TypeVar("S", bound="BaseSettings")

Url = Annotated[str, typer.Option(help="The address of the system")]
User = Annotated[str, typer.Option(help="The user name to sign in with")]
Password = Annotated[
    str | None,
    typer.Option(
        envvar="GOSPABLIK_PASSWORD",
        help="If not given, the demo password is tried on this machine; if it fails, the command asks for one",
        show_default=False,
    ),
]

LOCAL_URL = "http://127.0.0.1:8080"
DEFAULT_USER = "centre"
EXIT_INTERRUPTED = 130


def run_command(work: Callable[[], Awaitable[int]], interrupted: str) -> None:
    """Run `work` and exit with the code it returns.

    An `ApiError` is printed and exits with 1. Ctrl-C prints `interrupted` and exits with 130.
    """
    from cli.api_client.client import ApiError

    async def run() -> int:
        return await work()

    try:
        code = asyncio.run(run())
    except ApiError as error:
        typer.echo(str(error), err=True)
        code = 1
    except KeyboardInterrupt:
        typer.echo(interrupted, err=True)
        code = EXIT_INTERRUPTED
    raise typer.Exit(code)


def read_settings(kind: "type[S]") -> "S":
    """Return settings from the environment; if variables are invalid, print the reasons and exit with 1."""
    from pydantic import ValidationError

    try:
        return kind()
    except ValidationError as error:
        for problem in error.errors():
            name = "_".join(str(part) for part in problem["loc"]).upper()
            message = problem["msg"].removeprefix("Value error, ")
            typer.echo(f"GOSPABLIK_{name}: {message}" if name else message, err=True)
        raise typer.Exit(1) from error
