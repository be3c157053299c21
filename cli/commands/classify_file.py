"""The command `gospablik classify`: classify the messages of a file, row by row.

Columns: docs/moderator/classification.md.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import islice
from pathlib import Path

import typer

from cli.atomic_files import FileNotWrittenError, atomic_csv_writer, rename_clashing_columns
from services.appeals.classification.csv_row import CLASSIFICATION_COLUMNS, csv_rows
from services.appeals.classification.locations.page_locations import page_location
from services.appeals.classification.model.message_classifier import MessageClassifier
from services.appeals.classification.types import MessageContext
from shared.contracts.values import MessageKind
from shared.networks import NETWORKS
from shared.tabular.formula_escaping import unescaped
from shared.tabular.named_columns import TableHeader, open_table
from shared.tabular.reader import UnreadableTableError, package_rows
from shared.text.normalize import fold_text

_ROWS_PER_BATCH = 500
_MAX_LISTED_ROWS = 5
_CONTEXT_COLUMNS = ("network", "kind", "page_owner", "page_municipality", "post_context")
_KINDS: dict[str, MessageKind] = {
    "": "comment",
    "comment": "comment",
    "комментарий": "comment",
    "wall_post": "wall_post",
    "wall": "wall_post",
    "post": "wall_post",
    "пост": "wall_post",
    "message": "message",
    "сообщение": "message",
}
_NETWORKS = frozenset(
    fold_text(spelling)
    for name, about in NETWORKS.items()
    for spelling in ("", name, about.title, about.short_title or "")
)
# ОКТМО: five digits for region and municipality, then three or six for the settlement.
_OKTMO = re.compile(r"(\d{5})\d{3}(?:\d{3})?(?:\.0)?")


@dataclass
class _UnknownValues:
    """The unknown values of a column: the number of rows, the first rows, the first value."""

    treated_as: str
    count: int = 0
    rows: list[int] = field(default_factory=list)
    example: str = ""

    def add(self, number: int, value: str) -> None:
        self.count += 1
        self.example = self.example or value
        if len(self.rows) < _MAX_LISTED_ROWS:
            self.rows.append(number)


class _MessageReader:
    """Converts the rows of a file to messages with their context."""

    def __init__(self, header: TableHeader) -> None:
        self._text_column = header.column_index("text")
        self._columns = {
            name: index for name in _CONTEXT_COLUMNS if (index := header.find_column(name)) is not None
        }
        self._unknown = {
            "kind": _UnknownValues("treated as comments"),
            "network": _UnknownValues("which has no effect"),
            "page_municipality": _UnknownValues("treated as empty"),
        }
        self._number = 0

    def read(self, row: Sequence[str]) -> tuple[str, MessageContext]:
        """Return the text and the context of the message in this row."""
        self._number += 1
        cell = dict.fromkeys(_CONTEXT_COLUMNS, "") | {
            name: unescaped(row[index]).strip() for name, index in self._columns.items()
        }
        kind = _KINDS.get("_".join(re.split(r"[\s_-]+", fold_text(cell["kind"]))))
        if kind is None:
            self._unknown["kind"].add(self._number, cell["kind"])
        if fold_text(cell["network"]) not in _NETWORKS:
            self._unknown["network"].add(self._number, cell["network"])
        municipality = _municipality(cell["page_municipality"])
        if cell["page_municipality"] and municipality is None:
            self._unknown["page_municipality"].add(self._number, cell["page_municipality"])
        return unescaped(row[self._text_column]), MessageContext(
            kind=kind or "comment",
            post_text=cell["post_context"] or None,
            page_owner=cell["page_owner"] or None,
            page_municipality=municipality,
        )

    def notes(self) -> Iterator[str]:
        """Yield one line for each column that has unknown values."""
        for column, unknown in self._unknown.items():
            if unknown.count:
                more = (
                    f" and {unknown.count - len(unknown.rows)} more" if unknown.count > len(unknown.rows) else ""
                )
                yield (
                    f"column «{column}»: unknown values in {unknown.count:,} rows, such as "
                    f"«{unknown.example[:50]}», {unknown.treated_as}: {', '.join(map(str, unknown.rows))}{more}"
                )


@cache
def _by_oktmo() -> dict[str, str]:
    return {row["oktmo"][:5]: row["name"] for row in package_rows("migrations.reference", "municipalities.csv")}


def _municipality(text: str) -> str | None:
    """Return the municipality of a name in any spelling or of an ОКТМО code, also of a settlement in it."""
    code = _OKTMO.fullmatch("".join(text.split()))
    return page_location(None, _by_oktmo().get(code[1]) if code else text).municipality


def classify_file(source: Path, target: Path) -> int:
    """Write the rows of `source` with their classification to `target` and return the number of rows.

    All rows, blank lines and columns are kept in their order; a column named like a result becomes
    `given_<name>`. `target` is replaced once all rows are written, and may be the same file as `source`. If a
    file cannot be read or written, the reason is printed in one line and the command exits with 2.
    """
    try:
        return _classify(source, target)
    except UnreadableTableError as error:
        typer.echo(f"--in: {error}", err=True)
        raise typer.Exit(2) from error
    except FileNotWrittenError as error:
        typer.echo(f"--out: {error}", err=True)
        raise typer.Exit(2) from error


def _classify(source: Path, target: Path) -> int:
    count = 0
    with open_table(source) as table:
        messages = _MessageReader(table)
        model = MessageClassifier.load()
        with atomic_csv_writer(target) as write:
            write([*rename_clashing_columns(table.columns, CLASSIFICATION_COLUMNS), *CLASSIFICATION_COLUMNS])
            while batch := list(islice(table.rows, _ROWS_PER_BATCH)):
                classified = csv_rows(model, [messages.read(row) for row in batch if row])
                found = ([row[name] for name in CLASSIFICATION_COLUMNS] for row in classified)
                for row in batch:
                    write(row + next(found) if row else row)
                count += len(classified)
    for note in messages.notes():
        typer.echo(note, err=True)
    return count
