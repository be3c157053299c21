"""Train, evaluate and use custom topic models: `gospablik topics train|evaluate|predict`."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from itertools import islice
from pathlib import Path

import numpy as np
import typer
from rich.console import Console
from rich.table import Table as ConsoleTable

from cli.atomic_files import FileNotWrittenError, atomic_csv_writer, rename_clashing_columns
from services.appeals.classification.model.model_store import (
    ModelStore,
    ModelStoreError,
    StoredModel,
    text_digests,
)
from services.appeals.classification.model.text_classifier import RankedLabels
from services.appeals.classification.training.evaluation import (
    SCORE_NAMES,
    TOP_LABELS,
    Scores,
    evaluate_splits,
    mean_and_spread,
    score_classifier,
)
from services.appeals.classification.training.labelled_data import LABEL_SEPARATOR, LabelledData, load_labelled
from services.appeals.classification.training.train_custom import TrainingSource, train_custom_model
from shared.masking import mask
from shared.tabular.formula_escaping import unescaped
from shared.tabular.named_columns import TableHeader, open_table, read_table
from shared.tabular.reader import UnreadableTableError

COLUMNS = ("label", "top3", "confidence")
MAX_LISTED_ROWS = 20
ROWS_PER_BATCH = 2_000
TRAINING_OVERLAP_NOTE = "{known} of {rows} rows are in its training set: the scores are too high"

console = Console(highlight=False, soft_wrap=True)
stderr_console = Console(highlight=False, soft_wrap=True, stderr=True)


def report_errors(work: Callable[[], None]) -> None:
    """Run `work`; print an expected error and exit with 1, or with 2 if `--out` cannot be written."""
    try:
        work()
    except FileNotWrittenError as error:
        typer.echo(f"--out: {error}", err=True)
        raise typer.Exit(2) from error
    except (UnreadableTableError, ModelStoreError, ValueError, OSError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error


def _read(data: Path, text: str, label: str, names: str | None) -> LabelledData:
    found = load_labelled(read_table(data), text, label, names)
    for column, numbers in ((text, found.without_text), (label, found.without_label)):
        if numbers:
            more = f" and {len(numbers) - MAX_LISTED_ROWS} more" if len(numbers) > MAX_LISTED_ROWS else ""
            rows = ", ".join(map(str, numbers[:MAX_LISTED_ROWS]))
            stderr_console.print(
                f"Rows without «{column}» are left out: {len(numbers)} ({rows}{more})", markup=False
            )
    return found


def _format_score(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _format_scores(scores: Scores) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {_format_score(getattr(scores, name))}" for name in SCORE_NAMES)


def train(data: Path, text: str, label: str, model: Path, names: str | None, *, force: bool) -> None:
    """Train a model, store it, and print its scores and whether it is active."""
    labelled = _read(data, text, label, names)
    source = TrainingSource(data, sha256(data.read_bytes()).hexdigest(), text, label)
    outcome = train_custom_model(labelled, ModelStore(model), source, force=force)
    named = f", named by «{labelled.names_column}»" if labelled.names_column else ""
    lines = [
        f"version {outcome.version}: {len(labelled.texts):,} rows, {len(set(labelled.labels)):,} labels{named}",
        f"on rows held back: {_format_scores(outcome.scores)}",
        f"{'active' if outcome.activated else 'not active'}: {outcome.why}",
    ]
    for line in lines:
        console.print(line, markup=False)


def _load_model(model: Path) -> StoredModel:
    """Return the active version of a model; if none is active, print so and return the newest."""
    store = ModelStore(model)
    stored = store.load()
    if store.active_version() is None:
        stderr_console.print(f"version {stored.version} is not active: {stored.card.get('why', '')}", markup=False)
    return stored


def _count_training_rows(stored: StoredModel, texts: Sequence[str]) -> int:
    """Return the number of masked texts that are in the model's training set."""
    return int(np.isin(text_digests(texts), stored.training_digests).sum())


def evaluate_model(
    data: Path, text: str, label: str, model: Path, target_accuracy: float, *, as_json: bool
) -> None:
    """Score the active version of a model (else the newest) on a file and print the scores."""
    found = _read(data, text, label, "-")
    stored = _load_model(model)
    level = stored.card["automatic"].get(f"{target_accuracy:.2f}")
    scores = score_classifier(stored.classifier, found, level["threshold"] if level else None)
    training_rows = _count_training_rows(stored, found.texts)
    if training_rows:
        stderr_console.print(TRAINING_OVERLAP_NOTE.format(known=training_rows, rows=scores.rows))
    if as_json:
        console.print_json(
            json.dumps(
                {
                    "version": stored.version,
                    "target_accuracy": target_accuracy,
                    "threshold": level["threshold"] if level else None,
                    "known_rows": training_rows,
                    "scores": asdict(scores),
                }
            )
        )
        return
    console.print(f"version {stored.version} on {scores.rows:,} rows: {_format_scores(scores)}", markup=False)


def evaluate_learning(
    data: Path,
    text: str,
    label: str,
    *,
    names: str | None,
    target_accuracy: float,
    seeds: Sequence[int],
    as_json: bool,
) -> None:
    """Train and test on random splits of a file; print the mean scores of our model and the baseline."""
    found = _read(data, text, label, names)
    if found.names_column:
        stderr_console.print(f"labels are named by «{found.names_column}»", markup=False)

    def print_seed(seed: int, ours: Scores, plain: Scores) -> None:
        stderr_console.print(
            f"seed {seed}: ours {_format_scores(ours)}; plain accuracy {_format_score(plain.accuracy)}",
            markup=False,
        )

    splits = evaluate_splits(found, seeds, target_accuracy, print_seed)
    rows = {
        figure: (mean_and_spread(splits.ours, figure), mean_and_spread(splits.baseline, figure))
        for figure in SCORE_NAMES
    }
    if as_json:
        console.print_json(
            json.dumps(
                {
                    "rows": len(found.texts),
                    "tried": splits.ours[0].rows,
                    "labels": len(set(found.labels)),
                    "names": found.names_column,
                    "seeds": list(seeds),
                    "target_accuracy": target_accuracy,
                    "ours": {
                        figure: ours and {"mean": ours[0], "sd": ours[1]} for figure, (ours, _) in rows.items()
                    },
                    "plain": {
                        figure: plain and {"mean": plain[0], "sd": plain[1]} for figure, (_, plain) in rows.items()
                    },
                }
            )
        )
        return
    console.print(
        comparison_table(
            rows, f"{len(found.texts):,} rows, {len(seeds)} splits of 80/20, automatic at {target_accuracy:.0%}"
        )
    )
    console.print(
        "calibration error: expected, over ten bins of equally many rows; threshold: from the training 80 % only"
    )


MeanAndSpread = tuple[float, float] | None


def comparison_table(rows: dict[str, tuple[MeanAndSpread, MeanAndSpread]], title: str) -> ConsoleTable:
    """Return a table of means ± standard deviations of our model and the baseline, with the gain."""
    table = ConsoleTable("", "ours", "baseline", "gain", title=title)
    for figure, (ours, plain) in rows.items():
        table.add_row(
            figure.replace("_", " "),
            "–" if ours is None else f"{ours[0]:.3f} ± {ours[1]:.3f}",
            "–" if plain is None else f"{plain[0]:.3f} ± {plain[1]:.3f}",
            "" if ours is None or plain is None else f"{ours[0] - plain[0]:+.3f}",
        )
    return table


@dataclass
class _RowCounts:
    """Counts of the rows of a file: with and without text, with a label, and labelled correctly."""

    labelled: int = 0
    empty: int = 0
    confidence_sum: float = 0.0
    with_label: int = 0
    correct: int = 0
    in_training: int = 0

    def add(self, found: Sequence[RankedLabels | None], labels: Sequence[str]) -> None:
        for one, label in zip(found, labels, strict=True):
            if one is None:
                self.empty += 1
                continue
            self.labelled += 1
            self.confidence_sum += one.confidence
            if label:
                self.with_label += 1
                self.correct += one.labels[0] == label


def predict(data: Path, text: str, label: str | None, model: Path, out: Path) -> None:
    """Write every row of a file with its predicted labels.

    A row without text gets empty cells, a blank line stays blank. A column named like a result becomes
    `given_<name>`. If the file has the column `label`, the accuracy is printed.
    """
    counts = _RowCounts()
    stored = _load_model(model)
    with open_table(data) as table:
        at_text = table.column_index(text)
        at_label = None if label is None else _label_column(table, label, at_text)
        with atomic_csv_writer(out) as write:
            write([*rename_clashing_columns(table.columns, COLUMNS), *COLUMNS])
            while batch := list(islice(table.rows, ROWS_PER_BATCH)):
                rows = [row for row in batch if row]
                # Texts must be prepared as in training.
                texts = [mask(unescaped(row[at_text]).strip()) for row in rows]
                labels = ["" if at_label is None else unescaped(row[at_label]).strip() for row in rows]
                ranked = iter(stored.classifier.rank([text for text in texts if text], TOP_LABELS))
                found = [next(ranked) if text else None for text in texts]
                counts.add(found, labels)
                counts.in_training += _count_training_rows(
                    stored, [text for text, given in zip(texts, labels, strict=True) if text and given]
                )
                results = iter(found)
                for row in batch:
                    write([*row, *_result_cells(next(results))] if row else row)
    _print_counts(counts, stored.version, label if at_label is not None else None)


def _label_column(table: TableHeader, label: str, at_text: int) -> int | None:
    """Return the index of the column with the correct labels; None if the file has none, or if it is the
    column of the texts.
    """
    try:
        found = table.column_index(label)
    except UnreadableTableError as error:
        stderr_console.print(f"the accuracy is unknown: {error}", markup=False)
        return None
    return None if found == at_text else found


def _result_cells(found: RankedLabels | None) -> tuple[str, str, str]:
    return (
        (found.labels[0], LABEL_SEPARATOR.join(found.labels), f"{found.confidence:.4f}") if found else ("", "", "")
    )


def _print_counts(counts: _RowCounts, version: int, label: str | None) -> None:
    confidence = counts.confidence_sum / counts.labelled if counts.labelled else 0.0
    console.print(
        f"version {version}: {counts.labelled:,} rows labelled, {counts.empty:,} without text left empty, "
        f"mean confidence {confidence:.2f}",
        markup=False,
    )
    if label is None:
        return
    if counts.in_training:
        stderr_console.print(TRAINING_OVERLAP_NOTE.format(known=counts.in_training, rows=counts.with_label))
    if counts.with_label:
        accuracy = (
            f"accuracy {counts.correct / counts.with_label:.3f} on {counts.with_label:,} rows with a «{label}»"
        )
    else:
        accuracy = f"the accuracy is unknown: no row has a «{label}»"
    console.print(accuracy, markup=False)
