"""The commands `gospablik notices`: record returned letters, and write examples of letters."""

# ruff: noqa: PLC0415 - services start through this program: these commands load only what they need

import asyncio
import os
import sys
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

app = typer.Typer(
    help="Notices to people by e-mail.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.callback()
def _group() -> None:
    """Notices to people by e-mail."""


@app.command()
def bounce() -> None:
    """Read a returned letter from standard input and record it. The mail server calls this.

    The notices of the letter become failed; after several returned letters an address gets no more letters. Any
    other message changes nothing and exits with 0, so that the mail server does not return it. If the database is
    not available, the exit code is 75: the mail server tries again. Reads GOSPABLIK_DATABASE_URL and
    GOSPABLIK_ENCRYPTION_KEYS of webhooks.
    """
    from cli.deployment.prepare import read_variables
    from services.webhooks.notices.mail.bounces import parse_bounce
    from services.webhooks.settings import webhooks_settings
    from shared.database.outages import is_outage

    found = parse_bounce(sys.stdin.buffer.read(), webhooks_settings().encryption_keys)
    if found is None:
        typer.echo("the message does not report an undelivered letter: nothing is changed")
        return
    try:
        known = asyncio.run(
            _record(read_variables()["GOSPABLIK_DATABASE_URL"], found.letter_id, found.smtp_status)
        )
    except Exception as error:
        if not is_outage(error):
            raise
        typer.echo(f"the database is not available: {type(error).__name__}", err=True)
        raise typer.Exit(os.EX_TEMPFAIL) from error
    typer.echo(f"letter {found.letter_id}: {'recorded' if known else 'unknown, or recorded before'}")


async def _record(url: str, letter_id: UUID, smtp_status: str) -> bool:
    from services.webhooks.notices.mail.outcomes import record_bounce
    from shared.audit import recorder
    from shared.database.sessions import Database

    database = Database(url, 1, name="notices-bounce")
    try:
        async with database.write() as session:
            recorder.set_context(session, recorder.operator_context("webhooks", "notices bounce"))
            known = await record_bounce(session, letter_id, smtp_status)
            if known:
                await recorder.record_action(session, "notice_letters", str(letter_id))
    finally:
        await database.close()
    return known


@app.command()
def preview(
    folder: Annotated[Path, typer.Argument(help="The folder to write to", file_okay=False)],
) -> None:
    """Write an example of each kind of letter into a folder, as .eml files and as HTML."""
    from services.webhooks.notices.mail.examples import example_messages

    folder.mkdir(parents=True, exist_ok=True)
    for name, message in example_messages().items():
        (folder / f"{name}.eml").write_bytes(message.as_bytes())
        html = message.get_body(("html",))
        assert html is not None
        (folder / f"{name}.html").write_text(html.get_content(), encoding="utf-8")
        typer.echo(folder / f"{name}.html")
