"""What `gospablik topics train|evaluate|predict` do and print."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from itertools import islice
from pathlib import Path

import numpy as np
import typer
from rich.console import Console
from rich.table import Table as Shown

from cli.atomic_files import NotWrittenError, beside, replacing_table
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
LISTED = 20
PORTION = 2_000
FLATTERED = "{known} of {rows} rows are among those it has learnt from: the figures flatter it"

console = Console(highlight=False, soft_wrap=True)
aside = Console(highlight=False, soft_wrap=True, stderr=True)


def told(work: Callable[[], None]) -> None:
    """Do the work; what cannot be done is said in words, and the command ends with 1, with 2 for `--out`."""
    try:
        work()
    except NotWrittenError as error:
        typer.echo(f"--out: {error}", err=True)
        raise typer.Exit(2) from error
    except (UnreadableTableError, ModelStoreError, ValueError, OSError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error


def _read(data: Path, text: str, label: str, names: str | None) -> LabelledData:
    found = load_labelled(read_table(data), text, label, names)
    for said, numbers in ((f"no «{text}»", found.without_text), (f"no «{label}»", found.without_label)):
        if numbers:
            more = f" and {len(numbers) - LISTED} more" if len(numbers) > LISTED else ""
            rows = ", ".join(map(str, numbers[:LISTED]))
            aside.print(f"left out, {said}: {len(numbers)} rows ({rows}{more})", markup=False)
    return found


def _shown(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _line(scores: Scores) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {_shown(getattr(scores, name))}" for name in SCORE_NAMES)


def train(data: Path, text: str, label: str, model: Path, names: str | None, *, force: bool) -> None:
    """Teach and print what became of it."""
    found = _read(data, text, label, names)
    source = TrainingSource(data, sha256(data.read_bytes()).hexdigest(), text, label)
    outcome = train_custom_model(found, ModelStore(model), source, force=force)
    named = f", named by «{found.names_column}»" if found.names_column else ""
    said = [
        f"version {outcome.version}: {len(found.texts):,} rows, {len(set(found.labels)):,} labels{named}",
        f"on rows held back: {_line(outcome.scores)}",
        f"{'in force' if outcome.activated else 'not in force'}: {outcome.why}",
    ]
    for line in said:
        console.print(line, markup=False)


def _opened(model: Path) -> StoredModel:
    """The version in force, or the newest while none is: that is said."""
    store = ModelStore(model)
    kept = store.load()
    if store.active_version() is None:
        aside.print(f"version {kept.version} is not in force: {kept.card.get('why', '')}", markup=False)
    return kept


def _known(kept: StoredModel, texts: Sequence[str]) -> int:
    """How many of the texts, masked, a model has learnt from."""
    return int(np.isin(text_digests(texts), kept.training_digests).sum())


def evaluate_model(data: Path, text: str, label: str, model: Path, wanted: float, *, as_json: bool) -> None:
    """Score the model in force on a file."""
    found = _read(data, text, label, "-")
    kept = _opened(model)
    level = kept.card["automatic"].get(f"{wanted:.2f}")
    scores = score_classifier(kept.classifier, found, level["threshold"] if level else None)
    known = _known(kept, found.texts)
    if known:
        aside.print(FLATTERED.format(known=known, rows=scores.rows))
    if as_json:
        console.print_json(
            json.dumps(
                {
                    "version": kept.version,
                    "wanted": wanted,
                    "threshold": level["threshold"] if level else None,
                    "known_rows": known,
                    "scores": asdict(scores),
                }
            )
        )
        return
    console.print(f"version {kept.version} on {scores.rows:,} rows: {_line(scores)}", markup=False)


def evaluate_learning(
    data: Path, text: str, label: str, *, names: str | None, wanted: float, seeds: Sequence[int], as_json: bool
) -> None:
    """Learn by splits and print means beside those of the plain tool."""
    found = _read(data, text, label, names)
    if found.names_column:
        aside.print(f"labels are named by «{found.names_column}»", markup=False)

    def done(seed: int, ours: Scores, plain: Scores) -> None:
        aside.print(f"seed {seed}: ours {_line(ours)}; plain accuracy {_shown(plain.accuracy)}", markup=False)

    splits = evaluate_splits(found, seeds, wanted, done)
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
                    "wanted": wanted,
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
        results(rows, f"{len(found.texts):,} rows, {len(seeds)} splits of 80/20, automatic at {wanted:.0%}")
    )
    console.print("calibration error: expected, over ten bins of equally many rows; threshold: from the 80 alone")


Figure = tuple[float, float] | None


def results(rows: dict[str, tuple[Figure, Figure]], title: str) -> Shown:
    """A table of means ± standard deviations, ours beside the plain tool's, with the gain."""
    table = Shown("", "ours", "plain tool", "gain", title=title)
    for figure, (ours, plain) in rows.items():
        table.add_row(
            figure.replace("_", " "),
            "–" if ours is None else f"{ours[0]:.3f} ± {ours[1]:.3f}",
            "–" if plain is None else f"{plain[0]:.3f} ± {plain[1]:.3f}",
            "" if ours is None or plain is None else f"{ours[0] - plain[0]:+.3f}",
        )
    return table


@dataclass
class _Tally:
    """What became of the rows of a file: how many had text, and of those that had a label how many were right."""

    worded: int = 0
    empty: int = 0
    sureness: float = 0.0
    judged: int = 0
    right: int = 0
    known: int = 0

    def add(self, found: Sequence[RankedLabels | None], labels: Sequence[str]) -> None:
        for one, label in zip(found, labels, strict=True):
            if one is None:
                self.empty += 1
                continue
            self.worded += 1
            self.sureness += one.confidence
            if label:
                self.judged += 1
                self.right += one.labels[0] == label


def predict(data: Path, text: str, label: str | None, model: Path, out: Path) -> None:
    """Write every row with its labels; a row without text gets none, a blank line stays blank. A column named like
    a result is kept as `given_<name>`. Where the file has the column `label`, say how many are right.
    """
    tally = _Tally()
    kept = _opened(model)
    with open_table(data) as table:
        at_text = table.column_index(text)
        at_label = None if label is None else _told_label(table, label, at_text)
        with replacing_table(out) as write:
            write([*beside(table.columns, COLUMNS), *COLUMNS])
            while portion := list(islice(table.rows, PORTION)):
                rows = [row for row in portion if row]
                # A text is read as training reads it.
                texts = [mask(unescaped(row[at_text]).strip()) for row in rows]
                labels = ["" if at_label is None else unescaped(row[at_label]).strip() for row in rows]
                ranked = iter(kept.classifier.rank([words for words in texts if words], TOP_LABELS))
                found = [next(ranked) if words else None for words in texts]
                tally.add(found, labels)
                tally.known += _known(
                    kept, [words for words, said in zip(texts, labels, strict=True) if words and said]
                )
                answers = iter(found)
                for row in portion:
                    write([*row, *_answer(next(answers))] if row else row)
    _print_tally(tally, kept.version, label if at_label is not None else None)


def _told_label(table: TableHeader, label: str, at_text: int) -> int | None:
    """The column to compare with; a file to be labelled needs none."""
    try:
        found = table.column_index(label)
    except UnreadableTableError as error:
        aside.print(f"no accuracy is told: {error}", markup=False)
        return None
    return None if found == at_text else found


def _answer(found: RankedLabels | None) -> tuple[str, str, str]:
    return (
        (found.labels[0], LABEL_SEPARATOR.join(found.labels), f"{found.confidence:.4f}") if found else ("", "", "")
    )


def _print_tally(tally: _Tally, version: int, label: str | None) -> None:
    sure = tally.sureness / tally.worded if tally.worded else 0.0
    console.print(
        f"version {version}: {tally.worded:,} rows labelled, {tally.empty:,} without text left empty, "
        f"mean confidence {sure:.2f}",
        markup=False,
    )
    if label is None:
        return
    if tally.known:
        aside.print(FLATTERED.format(known=tally.known, rows=tally.judged))
    if tally.judged:
        said = f"accuracy {tally.right / tally.judged:.3f} on {tally.judged:,} rows with a «{label}»"
    else:
        said = f"no accuracy is told: no row has a «{label}»"
    console.print(said, markup=False)
