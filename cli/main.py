"""`gospablik`: one command for running, preparing and looking after the system."""

# ruff: noqa: PLC0415 - each command loads only what it needs: five services start through here at once

import asyncio
import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from cli.commands import audit, ingest, registry, topics

app = typer.Typer(
    help="Gospablik: citizens' words in official pages, and the answers to them.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(ingest.app, name="ingest")
app.add_typer(audit.app, name="audit")
app.add_typer(registry.app, name="registry")
app.add_typer(topics.app, name="topics")


class Process(StrEnum):
    """Which half of a service a process runs."""

    ALL = "all"
    API = "api"
    WORKER = "worker"


class Owner(StrEnum):
    """Services that have jobs."""

    REGISTRY = "registry"
    INGEST = "ingest"
    APPEALS = "appeals"
    WEBHOOKS = "webhooks"


@app.command()
def understand(
    source: Annotated[
        Path, typer.Option("--in", help="CSV with a column `text`", exists=True, dir_okay=False, readable=True)
    ],
    target: Annotated[Path, typer.Option("--out", help="CSV to write", dir_okay=False, writable=True)],
) -> None:
    """Understand messages of a file: is an answer due, about what, where, how urgent.

    Columns besides `text` that help: network, kind, page_owner, page_municipality, post_context.
    """
    from cli.commands.classify_file import understand_file

    typer.echo(f"{understand_file(source, target):,} rows understood")


@app.command()
def up(
    demo: Annotated[bool, typer.Option(help="Fill the registry with a region and let citizens write")] = True,
) -> None:
    """Run everything on this machine; Ctrl-C stops it, the data stays in .data."""
    from pydantic import ValidationError
    from rich.console import Console

    from cli.embedded.settings import EmbeddedSettings
    from cli.embedded.up import EmbeddedRun

    try:
        settings = EmbeddedSettings()
    except ValidationError as error:
        for problem in error.errors():
            name = "_".join(str(part) for part in problem["loc"]).upper()
            typer.echo(f"GOSPABLIK_{name}: {problem['msg']}", err=True)
        raise typer.Exit(1) from error
    try:
        code = EmbeddedRun(settings, with_demo=demo, console=Console()).run()
    except PermissionError as error:
        typer.echo(f"{error.strerror}: {error.filename}. Did another user make this data folder?", err=True)
        code = 1
    raise typer.Exit(code)


@app.command()
def serve(
    name: Annotated[str, typer.Argument(help="registry, ingest, appeals, metrics, webhooks or gateway")],
    process: Annotated[Process, typer.Option(help="API and worker together, or one of them")] = Process.ALL,
) -> None:
    """Serve one service, or the gateway's desk."""
    from cli.commands import serve as serving

    serving.serve(name, process.value)


@app.command()
def migrate(revision: Annotated[str, typer.Argument(help="Where to go")] = "head") -> None:
    """Bring the database's schema up to date."""
    from cli.deployment import migrate as migrations

    migrations.upgrade(revision)


@app.command()
def keys(
    folder: Annotated[Path, typer.Argument(help="Where the keys lie", envvar="GOSPABLIK_KEYS_DIR")],
) -> None:
    """Make the signing keys that are missing; those that are there stay."""
    from cli.deployment.signing_keys import ensure_keys

    made = ensure_keys(folder)
    typer.echo(f"made: {', '.join(made)}" if made else "nothing was missing")


@app.command()
def prepare() -> None:
    """Prepare the database for a deployment: owner, database, migrations, login roles, keys.

    Reads GOSPABLIK_DATABASE_ADMIN_URL and the passwords GOSPABLIK_<SERVICE>_PASSWORD.
    """
    from cli.deployment import prepare as compose

    asyncio.run(compose.prepare(os.environ))


@app.command()
def new_env() -> None:
    """Print an .env with fresh secrets for docker-compose.yml."""
    from cli.deployment import prepare as compose

    typer.echo(compose.new_environment(), nl=False)


@app.command()
def status() -> None:
    """Show the processes of the run in this data folder."""
    from rich.console import Console

    from cli.commands import status as run_status
    from cli.embedded.settings import EmbeddedSettings

    raise typer.Exit(run_status.show(EmbeddedSettings(), Console()))


@app.command(name="demo-people")
def demo_people(
    organisation: Annotated[str | None, typer.Option(help="Organisation the person `org` belongs to")] = None,
) -> None:
    """Make the people of the demo; refused in production."""
    from cli.demo.demo_people import ensure_people

    asyncio.run(ensure_people(organisation))


@app.command(name="add-person")
def add_person(
    username: Annotated[str, typer.Argument(help="Who signs in")],
    name: Annotated[str, typer.Option(help="Full name")],
    role: Annotated[str, typer.Option(help="A role of the centre")] = "operations",
    subject: Annotated[
        str | None, typer.Option(help="What the region's OIDC issuer calls them: they get no password")
    ] = None,
) -> None:
    """Give a person of the centre access and print their password: how a new deployment gets its first person.

    Reads GOSPABLIK_DATABASE_URL of registry's role.
    """
    from cli.deployment import first_person

    try:
        password = asyncio.run(first_person.add(username, name, role, subject))
    except first_person.PersonRefusedError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    if password is not None:
        typer.echo(password)


@app.command(name="held-jobs")
def held_jobs(
    service: Annotated[Owner, typer.Argument(help="Whose jobs")],
    put_back: Annotated[
        list[int] | None, typer.Option(help="Run this job again; may be given several times")
    ] = None,
) -> None:
    """List jobs that failed for good, or put them back. Reads GOSPABLIK_DATABASE_URL of the service's role."""
    from cli.commands import dead_letters

    if put_back:
        asyncio.run(dead_letters.put_back(service.value, put_back))
    for line in asyncio.run(dead_letters.show(service.value)):
        typer.echo(line)


@app.command()
def listen(
    port: Annotated[int, typer.Option(help="Where to receive, on 127.0.0.1")] = 9099,
    secret: Annotated[str | None, typer.Option(help="The endpoint's secret, whsec_…")] = None,
) -> None:
    """Receive webhooks and say whether their signatures are good: for trying an integration."""
    from cli.commands.webhook_receiver import listen as run

    run(port, secret)


if __name__ == "__main__":
    sys.exit(app())
