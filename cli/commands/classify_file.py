"""`gospablik understand`: what a file of messages asks for, row by row.

The columns: docs/moderator/classification.md.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import islice
from pathlib import Path

import typer

from cli.atomic_files import NotWrittenError, beside, replacing_table
from services.appeals.classification.csv_row import CLASSIFICATION_COLUMNS, csv_rows
from services.appeals.classification.locations.page_locations import page_location
from services.appeals.classification.model.message_classifier import MessageClassifier
from services.appeals.classification.types import MessageContext
from shared.contracts.values import MessageKind
from shared.tabular.formula_escaping import unescaped
from shared.tabular.named_columns import TableHeader, open_table
from shared.tabular.reader import UnreadableTableError, package_rows
from shared.text.normalize import fold_text

_PORTION = 500
_LISTED = 5
_BESIDE_TEXT = ("network", "kind", "page_owner", "page_municipality", "post_context")
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
_NETWORKS = frozenset(("", "vk", "ok", "вк", "ок", "вконтакте", "одноклассники"))
# The classifier of territories: region and municipality, then the settlement.
_OKTMO = re.compile(r"(\d{5})\d{3}(?:\d{3})?(?:\.0)?")


@dataclass
class _Strange:
    """Values of a column that are not known: how many rows have one, the first of them, the first value."""

    read_as: str
    count: int = 0
    rows: list[int] = field(default_factory=list)
    example: str = ""

    def add(self, number: int, value: str) -> None:
        self.count += 1
        self.example = self.example or value
        if len(self.rows) < _LISTED:
            self.rows.append(number)


class _Messages:
    """Rows of a file as messages with what stands around them."""

    def __init__(self, head: TableHeader) -> None:
        self._text = head.column_index("text")
        self._at = {name: at for name in _BESIDE_TEXT if (at := head.find_column(name)) is not None}
        self._strange = {
            "kind": _Strange("read as comments"),
            "network": _Strange("which changes nothing"),
            "page_municipality": _Strange("read as if it were empty"),
        }
        self._number = 0

    def read(self, row: Sequence[str]) -> tuple[str, MessageContext]:
        """The next message of the file."""
        self._number += 1
        cell = dict.fromkeys(_BESIDE_TEXT, "") | {
            name: unescaped(row[at]).strip() for name, at in self._at.items()
        }
        kind = _KINDS.get("_".join(re.split(r"[\s_-]+", fold_text(cell["kind"]))))
        if kind is None:
            self._strange["kind"].add(self._number, cell["kind"])
        if fold_text(cell["network"]) not in _NETWORKS:
            self._strange["network"].add(self._number, cell["network"])
        municipality = _municipality(cell["page_municipality"])
        if cell["page_municipality"] and municipality is None:
            self._strange["page_municipality"].add(self._number, cell["page_municipality"])
        return unescaped(row[self._text]), MessageContext(
            kind=kind or "comment",
            post_text=cell["post_context"] or None,
            page_owner=cell["page_owner"] or None,
            page_municipality=municipality,
        )

    def notes(self) -> Iterator[str]:
        """What was not known, one line per column."""
        for column, found in self._strange.items():
            if found.count:
                more = f" and {found.count - len(found.rows)} more" if found.count > len(found.rows) else ""
                yield (
                    f"column «{column}»: not known in {found.count:,} rows, such as «{found.example[:50]}», "
                    f"{found.read_as}: {', '.join(map(str, found.rows))}{more}"
                )


@cache
def _by_oktmo() -> dict[str, str]:
    return {row["oktmo"][:5]: row["name"] for row in package_rows("migrations.reference", "municipalities.csv")}


def _municipality(given: str) -> str | None:
    """The municipality by its name, written in any way, or by its OKTMO or that of a settlement there."""
    code = _OKTMO.fullmatch("".join(given.split()))
    return page_location(None, _by_oktmo().get(code[1]) if code else given).municipality


def understand_file(source: Path, target: Path) -> int:
    """Write the rows of `source` with what was understood beside them; returns how many.

    Rows keep their number, order and columns, blank lines among them; a column that is named like a result is
    kept as `given_<name>`. `target` is replaced at the end or not at all, and may be `source`. What cannot be read
    or written is said in one line, and the command ends with 2.
    """
    try:
        return _understand(source, target)
    except UnreadableTableError as error:
        typer.echo(f"--in: {error}", err=True)
        raise typer.Exit(2) from error
    except NotWrittenError as error:
        typer.echo(f"--out: {error}", err=True)
        raise typer.Exit(2) from error


def _understand(source: Path, target: Path) -> int:
    count = 0
    with open_table(source) as table:
        messages = _Messages(table)
        model = MessageClassifier.load()
        with replacing_table(target) as write:
            write([*beside(table.columns, CLASSIFICATION_COLUMNS), *CLASSIFICATION_COLUMNS])
            while portion := list(islice(table.rows, _PORTION)):
                understood = csv_rows(model, [messages.read(row) for row in portion if row])
                found = ([row[name] for name in CLASSIFICATION_COLUMNS] for row in understood)
                for row in portion:
                    write(row + next(found) if row else row)
                count += len(understood)
    for note in messages.notes():
        typer.echo(note, err=True)
    return count
