"""`gospablik topics`: the classifier, and what people taught."""

# ruff: noqa: PLC0415 - services start through this program: what only these commands need is loaded by them

from pathlib import Path
from typing import Annotated

import typer

from cli.ingest import CENTRE, HERE, Password, Url, User, run

app = typer.Typer(
    help="The classifier of topics: what people decided, as the next training set.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.command()
def export(
    *,
    out: Annotated[Path, typer.Option("--out", help="Where to write the CSV", dir_okay=False)],
    everything: Annotated[
        bool,
        typer.Option("--all", help="Also messages whose topic nobody decided, such as those that need no answer"),
    ] = False,
    url: Url = HERE,
    user: User = CENTRE,
    password: Password = None,
) -> None:
    """Write what people decided of messages to a file that a model can learn from, personal data masked."""
    from cli import exchange
    from cli.remote import Access

    access = Access(url, user, password)
    labelled = "false" if everything else "true"
    run(
        lambda: exchange.fetch(access, "/reviews/training.csv", out, labelled=labelled),
        "Interrupted: no file was written.",
    )
