"""The commands `gospablik topics`: train and use a custom classifier, and export people's decisions."""

# ruff: noqa: PLC0415 - services start through this program: these commands load only what they need

from pathlib import Path
from types import ModuleType
from typing import Annotated

import typer

from cli.commands.common import DEFAULT_USER, LOCAL_URL, Password, Url, User, run_command

app = typer.Typer(
    help="The topic classifier: train, evaluate and use it on your own data; export what people decided.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

Data = Annotated[Path, typer.Option("--data", help="CSV with a header row", exists=True, dir_okay=False)]
Text = Annotated[str, typer.Option("--text", help="The column with the texts")]
Label = Annotated[str, typer.Option("--label", help="The column with the labels")]
Model = Annotated[Path, typer.Option("--model", help="The folder of the model", file_okay=False)]
Names = Annotated[
    str | None,
    typer.Option(
        "--names", help="The column with the names of the labels; if not given, it is detected; - for none"
    ),
]
TargetAccuracy = Annotated[
    float,
    typer.Option(
        "--target-accuracy", min=0.8, max=0.99, help="The accuracy that automatic mode must have, in whole percent"
    ),
]


def _load_training() -> ModuleType:
    """Return the module `topic_training`; exit with 1 if its packages are missing, as in the services' image."""
    try:
        from cli.commands import topic_training
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in ("scipy", "sklearn"):
            raise
        typer.echo(
            "This image has no packages for training. Build an image that has them: "
            "docker build --target training -t gospablik-training .",
            err=True,
        )
        raise typer.Exit(1) from error
    return topic_training


@app.command()
def train(
    *,
    data: Data,
    text: Text,
    label: Label,
    model: Model,
    names: Names = None,
    force: Annotated[bool, typer.Option("--force", help="Activate it even if it is not better")] = False,
) -> None:
    """Train on a file, store the result as a new version, and activate it if it beats the current one."""
    topic_training = _load_training()
    topic_training.report_errors(lambda: topic_training.train(data, text, label, model, names, force=force))


@app.command()
def evaluate(
    *,
    data: Data,
    text: Text,
    label: Label,
    names: Names = None,
    target_accuracy: TargetAccuracy = 0.94,
    model: Annotated[
        Path | None,
        typer.Option("--model", help="Score this model; if not given, train and test on splits", file_okay=False),
    ] = None,
    seeds: Annotated[
        int, typer.Option("--seeds", min=1, help="The number of 80/20 splits, with seeds 0, 1, 2 …")
    ] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object")] = False,
) -> None:
    """Score a model on a file; without --model, train and test on splits of it and compare with a baseline."""
    topic_training = _load_training()
    if model is not None:
        topic_training.report_errors(
            lambda: topic_training.evaluate_model(data, text, label, model, target_accuracy, as_json=as_json)
        )
    else:
        topic_training.report_errors(
            lambda: topic_training.evaluate_learning(
                data,
                text,
                label,
                names=names,
                target_accuracy=target_accuracy,
                seeds=range(seeds),
                as_json=as_json,
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
        typer.Option(
            "--label", help="The column with the correct labels, if the file has one, to print the accuracy"
        ),
    ] = None,
) -> None:
    """Write the rows of a file, in their order, with the added columns `label, top3, confidence`."""
    topic_training = _load_training()
    topic_training.report_errors(lambda: topic_training.predict(data, text, label, model, out))


@app.command()
def export(
    *,
    out: Annotated[Path, typer.Option("--out", help="Where to write the CSV", dir_okay=False)],
    everything: Annotated[
        bool,
        typer.Option(
            "--all", help="Also messages whose topic nobody decided, for example those that need no answer"
        ),
    ] = False,
    url: Url = LOCAL_URL,
    user: User = DEFAULT_USER,
    password: Password = None,
) -> None:
    """Write people's decisions about messages to a file for training, with personal data masked."""
    from cli.api_client import file_transfer
    from cli.api_client.client import Connection
    from cli.atomic_files import FileNotWrittenError

    connection = Connection(url, user, password)
    labelled = "false" if everything else "true"
    try:
        run_command(
            lambda: file_transfer.download(
                connection, "/reviews/training.csv", out, private=True, labelled=labelled
            ),
            "Interrupted: no file was written.",
        )
    except FileNotWrittenError as error:
        typer.echo(f"--out: {error}", err=True)
        raise typer.Exit(2) from error
