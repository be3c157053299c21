"""What `gospablik topics train|evaluate|predict` do and print."""

import csv
import json
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path

import numpy as np
import typer
from rich.console import Console
from rich.table import Table as Shown

from services.appeals.understanding.evaluation import (
    FIGURES,
    TOP,
    Scores,
    by_splits,
    mean_and_spread,
    score_classifier,
)
from services.appeals.understanding.labelled import BETWEEN, FileRefusedError, Labelled, labelled, read_table
from services.appeals.understanding.model_store import Store, StoreError, digests
from services.appeals.understanding.teaching import Source, teach
from shared.escaping import unescaped

COLUMNS = ("label", "top3", "confidence")
LISTED = 20

console = Console(highlight=False, soft_wrap=True)
aside = Console(highlight=False, soft_wrap=True, stderr=True)


def told(work: Callable[[], None]) -> None:
    """Do the work; what cannot be done is said in words, and the command ends with 1."""
    try:
        work()
    except (FileRefusedError, StoreError, ValueError, OSError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error


def _read(data: Path, text: str, label: str, names: str | None) -> Labelled:
    found = labelled(read_table(data), text, label, names)
    for said, numbers in ((f"no «{text}»", found.without_text), (f"no «{label}»", found.without_label)):
        if numbers:
            more = f" and {len(numbers) - LISTED} more" if len(numbers) > LISTED else ""
            rows = ", ".join(map(str, numbers[:LISTED]))
            aside.print(f"left out, {said}: {len(numbers)} rows ({rows}{more})", markup=False)
    return found


def _shown(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _line(scores: Scores) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {_shown(getattr(scores, name))}" for name in FIGURES)


def train(data: Path, text: str, label: str, model: Path, names: str | None, *, force: bool) -> None:
    """Teach and print what became of it."""
    found = _read(data, text, label, names)
    source = Source(data, sha256(data.read_bytes()).hexdigest(), text, label)
    outcome = teach(found, Store(model), source, force=force)
    named = f", named by «{found.names_column}»" if found.names_column else ""
    said = [
        f"version {outcome.version}: {len(found.texts):,} rows, {len(set(found.labels)):,} labels{named}",
        f"on rows held back: {_line(outcome.scores)}",
        f"{'in force' if outcome.in_force else 'not in force'}: {outcome.why}",
    ]
    for line in said:
        console.print(line, markup=False)


def evaluate_model(data: Path, text: str, label: str, model: Path, wanted: float, *, as_json: bool) -> None:
    """Score the model in force on a file."""
    found = _read(data, text, label, "-")
    kept = Store(model).load()
    level = kept.card["automatic"].get(f"{wanted:.2f}")
    scores = score_classifier(kept.classifier, found, level["threshold"] if level else None)
    known = int(np.isin(digests(found.texts), kept.learnt).sum())
    if known:
        aside.print(f"{known} of {scores.rows} rows are among those it has learnt from: the figures flatter it")
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

    splits = by_splits(found, seeds, wanted, done)
    rows = {
        figure: (mean_and_spread(splits.ours, figure), mean_and_spread(splits.plain, figure)) for figure in FIGURES
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


def predict(data: Path, text: str, model: Path, out: Path) -> None:
    """Write every row with its labels; a row without text gets none. A column named like a result is kept as
    `given_<name>`.
    """
    table = read_table(data)
    at_text = table.place(text)
    kept = Store(model).load()
    texts = [unescaped(row[at_text]).strip() for row in table.rows]
    worded = [at for at, words in enumerate(texts) if words]
    found = dict(zip(worded, kept.classifier.rank([texts[at] for at in worded], TOP), strict=True))
    with out.open("w", encoding="utf-8", newline="") as written:
        writer = csv.writer(written)
        writer.writerow([*(f"given_{name}" if name in COLUMNS else name for name in table.columns), *COLUMNS])
        for at, row in enumerate(table.rows):
            ranked = found.get(at)
            answer = (
                (ranked.labels[0], BETWEEN.join(ranked.labels), f"{ranked.confidence:.4f}")
                if ranked
                else ("",) * 3
            )
            writer.writerow([*row, *answer])
    empty = len(texts) - len(worded)
    sure = statistics.fmean(one.confidence for one in found.values()) if found else 0.0
    console.print(
        f"version {kept.version}: {len(worded):,} rows labelled, {empty:,} without text left empty, "
        f"mean confidence {sure:.2f}",
        markup=False,
    )
