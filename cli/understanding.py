"""`gospablik understand`: what a file of messages asks for, row by row."""

import csv
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import typer

from services.appeals.understanding.flat import COLUMNS, flat_rows
from services.appeals.understanding.judgement import Context
from services.appeals.understanding.understand import Understanding

_PORTION = 500
_KINDS = ("comment", "wall_post", "message")
_KNOWN = ("text", "network", "kind", "page_owner", "page_municipality", "post_context")


def understand_file(source: Path, target: Path) -> int:
    """Write the rows of `source` with what was understood beside them; returns how many.

    Rows keep their number, order and columns; a column that is named like a result is kept as `given_<name>`.
    Raises `typer.BadParameter` naming what cannot be read, with its row and column.
    """
    try:
        return _understand(source, target)
    except UnicodeDecodeError as error:
        raise typer.BadParameter(f"{source.name} is not UTF-8: {error}") from error


def _understand(source: Path, target: Path) -> int:
    model = Understanding.load()
    with source.open(encoding="utf-8-sig", newline="") as read:
        rows = csv.DictReader(read, strict=True)
        named = {name.strip().lower(): name for name in rows.fieldnames or ()}
        if "text" not in named:
            raise typer.BadParameter(f"{source.name}: the column «text» is missing; there are: {', '.join(named)}")
        given = {name: f"given_{name}" if name in COLUMNS else name for name in rows.fieldnames or ()}
        with target.open("w", encoding="utf-8", newline="") as written:
            out = csv.DictWriter(written, [*given.values(), *COLUMNS], lineterminator="\n")
            out.writeheader()
            count = 0
            for portion in _portions(_numbered(rows, source)):
                items = [_item(row, named, number, source) for number, row in portion]
                for (_, row), found in zip(portion, flat_rows(model, items), strict=True):
                    out.writerow({given[name]: row[name] for name in given} | found)
                count += len(portion)
    return count


def _portions(rows: Iterator[tuple[int, dict[str, str]]]) -> Iterator[list[tuple[int, dict[str, str]]]]:
    while portion := list(islice(rows, _PORTION)):
        yield portion


def _numbered(rows: "csv.DictReader[str]", source: Path) -> Iterator[tuple[int, dict[str, str]]]:
    number = 0
    try:
        for number, row in enumerate(rows, 1):
            if None in row or None in row.values():
                raise typer.BadParameter(f"{source.name}: row {number} has not as many cells as the header")
            yield number, row
    except csv.Error as error:
        raise typer.BadParameter(f"{source.name}: row {number + 1} is not CSV: {error}") from error


def _item(row: dict[str, str], named: dict[str, str], number: int, source: Path) -> tuple[str, Context]:
    cell = {name: row[named[name]].strip() for name in _KNOWN if name in named}
    kind = cell.get("kind") or "comment"
    if kind not in _KINDS:
        raise typer.BadParameter(
            f"{source.name}: row {number}, column «kind»: «{kind}» is none of {', '.join(_KINDS)}"
        )
    return row[named["text"]], Context(
        kind=kind,  # type: ignore[arg-type]
        post_text=cell.get("post_context") or None,
        page_owner=cell.get("page_owner") or None,
        page_municipality=cell.get("page_municipality") or None,
    )
