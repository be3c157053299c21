"""`gospablik topics`: a classifier taught by an organisation's own history, and what people taught."""

# ruff: noqa: PLC0415 - services start through this program: what only these commands need is loaded by them

from pathlib import Path
from typing import Annotated

import typer

from cli.commands.ingest import CENTRE, HERE, Password, Url, User, run

app = typer.Typer(
    help="The classifier of topics: taught by your own history, tried, used; what people decided, as a file.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

Data = Annotated[Path, typer.Option("--data", help="CSV with a row of names", exists=True, dir_okay=False)]
Text = Annotated[str, typer.Option("--text", help="The column with the texts")]
Label = Annotated[str, typer.Option("--label", help="The column with the labels")]
Model = Annotated[Path, typer.Option("--model", help="The folder of the model", file_okay=False)]
Names = Annotated[
    str | None,
    typer.Option("--names", help="A column that says in words what a label is; else it is looked for; - for none"),
]
Wanted = Annotated[
    float,
    typer.Option("--wanted", min=0.8, max=0.99, help="How right the automatic mode must be, in whole percents"),
]


@app.command()
def train(
    *,
    data: Data,
    text: Text,
    label: Label,
    model: Model,
    names: Names = None,
    force: Annotated[bool, typer.Option("--force", help="Put it in force even if it is no better")] = False,
) -> None:
    """Learn from a file, keep the result as a new version, and put it in force if it beats the present one."""
    from cli.commands import topic_training

    topic_training.told(lambda: topic_training.train(data, text, label, model, names, force=force))


@app.command()
def evaluate(
    *,
    data: Data,
    text: Text,
    label: Label,
    names: Names = None,
    wanted: Wanted = 0.94,
    model: Annotated[
        Path | None,
        typer.Option("--model", help="Score this model; else learn and try by splits", file_okay=False),
    ] = None,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="How many splits of 80/20, seeds 0, 1, 2 …")] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object")] = False,
) -> None:
    """Say how good a model is on a file; without one, how good learning from it is, beside the plain tool."""
    from cli.commands import topic_training

    if model is not None:
        topic_training.told(
            lambda: topic_training.evaluate_model(data, text, label, model, wanted, as_json=as_json)
        )
    else:
        topic_training.told(
            lambda: topic_training.evaluate_learning(
                data, text, label, names=names, wanted=wanted, seeds=range(seeds), as_json=as_json
            )
        )


@app.command()
def predict(
    *,
    data: Data,
    text: Text,
    model: Model,
    out: Annotated[Path, typer.Option("--out", help="Where to write the CSV", dir_okay=False)],
    label: Annotated[
        str | None,
        typer.Option("--label", help="The column with the right labels, if the file has one: says the accuracy"),
    ] = None,
) -> None:
    """Write the rows of a file with `label, top3, confidence` beside them, in their order."""
    from cli.commands import topic_training

    topic_training.told(lambda: topic_training.predict(data, text, label, model, out))


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
    from cli.api_client import file_transfer
    from cli.api_client.client import Access
    from cli.atomic_files import NotWrittenError

    access = Access(url, user, password)
    labelled = "false" if everything else "true"
    try:
        run(
            lambda: file_transfer.fetch(access, "/reviews/training.csv", out, labelled=labelled),
            "Interrupted: no file was written.",
        )
    except NotWrittenError as error:
        typer.echo(f"--out: {error}", err=True)
        raise typer.Exit(2) from error
