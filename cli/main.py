"""The command `gospablik`: run, prepare and operate the system."""

# ruff: noqa: PLC0415 - each command loads only what it needs: all services start through this program at once

import asyncio
import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from cli.commands import audit, erasures, ingest, notices, registry, report, topics, webhooks
from cli.commands.common import read_settings
from shared.renamed_settings import RenamedVariableError, refuse_renamed_variables

app = typer.Typer(
    help="Gospablik: what citizens write on official pages, and the replies to it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(ingest.app, name="ingest")
app.add_typer(audit.app, name="audit")
app.add_typer(registry.app, name="registry")
app.add_typer(topics.app, name="topics")
app.command("erase")(erasures.erase)
app.command("erasures")(erasures.list_erasures)
app.add_typer(notices.app, name="notices")
app.add_typer(report.app, name="report")
app.add_typer(webhooks.app, name="webhooks")


class Process(StrEnum):
    """The part of a service that a process runs."""

    ALL = "all"
    API = "api"
    WORKER = "worker"


class JobService(StrEnum):
    """Services that have jobs."""

    REGISTRY = "registry"
    INGEST = "ingest"
    APPEALS = "appeals"
    METRICS = "metrics"
    WEBHOOKS = "webhooks"


@app.callback()
def check_environment() -> None:
    """Exit with 1 if a renamed variable is set, or if the folder of GOSPABLIK_SECRETS_DIR does not exist."""
    try:
        refuse_renamed_variables(os.environ)
    except RenamedVariableError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    if os.environ.get("GOSPABLIK_SECRETS_DIR"):
        from shared.settings import SecretsFolderError, secrets_folder

        try:
            secrets_folder()
        except SecretsFolderError as error:
            typer.echo(str(error), err=True)
            raise typer.Exit(1) from error


@app.command()
def classify(
    source: Annotated[
        Path, typer.Option("--in", help="CSV with a column `text`", exists=True, dir_okay=False, readable=True)
    ],
    target: Annotated[Path, typer.Option("--out", help="CSV to write", dir_okay=False, writable=True)],
) -> None:
    """Classify the messages of a file: need of an answer, topic, location, urgency.

    Optional columns besides `text`: network, kind, page_owner, page_municipality, post_context.
    """
    from cli.commands.classify_file import classify_file

    typer.echo(f"{classify_file(source, target):,} rows classified")


@app.command()
def up(
    demo: Annotated[bool, typer.Option(help="Use a made-up region, in which emulated citizens write")] = True,
) -> None:
    """Run the whole system on this machine. Ctrl-C stops it; the data stays in its folder, by default .data."""
    from rich.console import Console

    from cli.embedded.settings import EmbeddedSettings
    from cli.embedded.up import EmbeddedRun

    settings = read_settings(EmbeddedSettings)
    try:
        code = EmbeddedRun(settings, with_demo=demo, console=Console()).run()
    except PermissionError as error:
        typer.echo(f"{error.strerror}: {error.filename}. Did another user create this data folder?", err=True)
        code = 1
    raise typer.Exit(code)


@app.command()
def serve(
    name: Annotated[str, typer.Argument(help="registry, ingest, appeals, metrics, webhooks, console or gateway")],
    process: Annotated[Process, typer.Option(help="API and worker together, or one of them")] = Process.ALL,
) -> None:
    """Serve one service, or the gateway's own service."""
    from cli.commands import serve as serving

    serving.serve(name, process.value)


@app.command()
def migrate(revision: Annotated[str, typer.Argument(help="The revision to upgrade to")] = "head") -> None:
    """Upgrade the database schema."""
    from cli.deployment import migrate as migrations

    try:
        migrations.upgrade(revision)
    except migrations.UnknownRevisionError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error


@app.command()
def keys(
    folder: Annotated[Path, typer.Argument(help="The folder of the keys", envvar="GOSPABLIK_KEYS_DIR")],
) -> None:
    """Create the missing signing keys; existing keys are kept."""
    from cli.deployment.signing_keys import ensure_keys

    created = ensure_keys(folder)
    typer.echo(f"created: {', '.join(created)}" if created else "no key was missing")


@app.command()
def prepare() -> None:
    """Prepare the database for a deployment: owner, database, migrations, login roles, keys.

    Reads GOSPABLIK_DATABASE_ADMIN_URL, GOSPABLIK_KEYS_DIR, GOSPABLIK_OWNER_PASSWORD and the passwords
    GOSPABLIK_<SERVICE>_PASSWORD.
    """
    from cli.deployment import prepare as compose
    from cli.deployment.migrate import UnknownRevisionError
    from cli.deployment.provisioning import DatabaseError

    try:
        asyncio.run(compose.prepare(compose.read_variables()))
    except (compose.VariablesRefusedError, DatabaseError, UnknownRevisionError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error


@app.command()
def gateway_config(
    folder: Annotated[Path, typer.Argument(help="Where Traefik reads its configuration", file_okay=False)],
) -> None:
    """Write the configuration of the gateway: addresses, TLS, trusted proxies."""
    from cli.deployment.gateway_config import write_gateway_config
    from services.gateway.traefik.entry_point_settings import EntryPointSettings

    write_gateway_config(folder, read_settings(EntryPointSettings))


@app.command()
def starter_rules() -> None:
    """Activate the starter routing rules, unless rules exist. Reads the settings of appeals."""
    from cli.deployment import starter_rules as deployment

    number = asyncio.run(deployment.install())
    typer.echo(
        "routing rules already exist: nothing changes" if number is None else f"rule set {number} is active"
    )


@app.command()
def generate_env() -> None:
    """Print an .env file with new secrets for docker-compose.yml."""
    from cli.deployment import prepare as compose

    typer.echo(compose.generate_environment(), nl=False)


@app.command()
def status() -> None:
    """Show the processes of the run in this data folder."""
    from rich.console import Console

    from cli.commands import status as run_status
    from cli.embedded.settings import EmbeddedSettings

    raise typer.Exit(run_status.show(EmbeddedSettings(), Console()))


@app.command()
def create_demo_people(
    organisation: Annotated[
        str | None, typer.Option(help="Id of the organisation of org, manager and approver; else without them")
    ] = None,
) -> None:
    """Create the people of the demo; refused in production."""
    from cli.demo.demo_people import ensure_people

    asyncio.run(ensure_people(organisation))


@app.command()
def write_demo_history(
    weeks: Annotated[int, typer.Option(help="Complete weeks before the current one", min=1, max=104)] = 12,
) -> None:
    """Write made-up history into a new database of the demo; refused in production."""
    from cli.demo.past.history import write_configured_history

    typer.echo(asyncio.run(write_configured_history(weeks)))


@app.command()
def add_person(
    username: Annotated[str, typer.Argument(help="The user name")],
    name: Annotated[str, typer.Option(help="Full name")],
    role: Annotated[str, typer.Option(help="A role of the regional management centre")] = "operations",
    subject: Annotated[
        str | None,
        typer.Option(help="The person's subject at the region's OIDC issuer; such a person gets no password"),
    ] = None,
) -> None:
    """Create a person of the centre, the first user of a new deployment, and print the password.

    Reads GOSPABLIK_DATABASE_URL of registry's role.
    """
    from cli.deployment import first_person

    try:
        password = asyncio.run(first_person.add_person(username, name, role, subject))
    except first_person.PersonRefusedError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    if password is not None:
        typer.echo(password)


@app.command()
def end_sessions() -> None:
    """End the sessions of all people whose tokens are issued here; `end-browser-sessions` ends the rest. Part of a
    restore from a backup.

    Reads GOSPABLIK_DATABASE_URL of registry's role.
    """
    from cli.deployment import end_sessions as deployment

    typer.echo(f"{asyncio.run(deployment.end_sessions())} sessions ended")


@app.command()
def end_browser_sessions() -> None:
    """End all browser sessions in the console, those of people of an external issuer too. Part of a restore
    from a backup.

    Reads GOSPABLIK_DATABASE_URL of the console's role.
    """
    from cli.deployment import end_sessions as deployment

    typer.echo(f"{asyncio.run(deployment.end_browser_sessions())} browser sessions ended")


@app.command()
def dead_letters(
    service: Annotated[JobService, typer.Argument(help="The service that owns the jobs")],
    requeue: Annotated[
        list[int] | None, typer.Option(help="Run this job again; may be given several times")
    ] = None,
) -> None:
    """List dead-lettered jobs, or run them again. Reads GOSPABLIK_DATABASE_URL of the service's role."""
    from cli.commands import dead_letters as commands

    if requeue:
        asyncio.run(commands.requeue(service.value, requeue))
    for line in asyncio.run(commands.list_dead_letters(service.value)):
        typer.echo(line)


if __name__ == "__main__":
    sys.exit(app())
