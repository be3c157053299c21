"""Labelled texts from a table that an organisation exports (`shared/tabular/named_columns.py`)."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from services.appeals.classification.model.text_classifier import is_descriptive_label
from shared.masking import mask
from shared.tabular.formula_escaping import unescaped
from shared.tabular.named_columns import LoadedTable
from shared.tabular.reader import UnreadableTableError

LABEL_SEPARATOR = "|"
_FILLED = 0.9
_AGREE = 0.98
_LONGEST_NAME = 300


@dataclass(frozen=True)
class LabelledData:
    """Labelled texts with personal data masked, and the rows left out because text or label is missing. `names`:
    each label in words, from the column `names_column`; empty without such a column.
    """

    texts: list[str]
    labels: list[str]
    names: list[str]
    names_column: str | None
    row_numbers: list[int]
    without_text: list[int]
    without_label: list[int]

    def part(self, places: Sequence[int]) -> "LabelledData":
        """Return the data of the rows at these indexes."""
        return LabelledData(
            [self.texts[at] for at in places],
            [self.labels[at] for at in places],
            [self.names[at] for at in places],
            self.names_column,
            [self.row_numbers[at] for at in places],
            [],
            [],
        )


def load_labelled(table: LoadedTable, text: str, label: str, names: str | None = None) -> LabelledData:
    """Return the rows that have both a text and a label. `names`: the column with the labels in words; by default
    it is searched for, `-` means none. Raises `UnreadableTableError` if a column is missing, both are one column,
    no row has both, or a label contains «|».
    """
    at_text, at_label = table.column_index(text), table.column_index(label)
    if at_text == at_label:
        raise UnreadableTableError(f"{table.file}: text and label are the same column «{text}»: give two columns")
    cells = [(unescaped(row[at_text]).strip(), unescaped(row[at_label]).strip()) for row in table.rows]
    whole = [at for at, (words, said) in enumerate(cells) if words and said]
    without_text = [at + 1 for at, (words, _) in enumerate(cells) if not words]
    without_label = [at + 1 for at, (words, said) in enumerate(cells) if words and not said]
    if not whole:
        raise UnreadableTableError(
            f"{table.file}: no row has both «{text}» and «{label}» "
            f"(without text: {len(without_text)}, without label: {len(without_label)} of {len(cells)})"
        )
    for at in whole:
        if LABEL_SEPARATOR in cells[at][1]:
            raise UnreadableTableError(
                f"{table.file}: row {at + 1}: the label must not contain «{LABEL_SEPARATOR}»: {cells[at][1]}"
            )
    labels = [cells[at][1] for at in whole]
    if names is None:
        at_names = _finer(table, whole, labels, {at_text, at_label})
    else:
        at_names = None if names == "-" else table.column_index(names)
    return LabelledData(
        [mask(cells[at][0]) for at in whole],
        labels,
        ["" if at_names is None else unescaped(table.rows[at][at_names]).strip() for at in whole],
        None if at_names is None else table.columns[at_names],
        [at + 1 for at in whole],
        without_text,
        without_label,
    )


def _finer(table: LoadedTable, whole: Sequence[int], labels: Sequence[str], taken: set[int]) -> int | None:
    """Return the column that subdivides the labels in words, such as «Тема» beside «Группа тем». Its values
    repeat, and nearly every value belongs to one label.
    """
    best: tuple[float, int] | None = None
    for at in range(len(table.columns)):
        if at in taken:
            continue
        values = [unescaped(table.rows[row][at]).strip() for row in whole]
        filled = [
            value for value in values if value and len(value) <= _LONGEST_NAME and is_descriptive_label(value)
        ]
        different = len(set(filled))
        if len(filled) < _FILLED * len(values) or not len(set(labels)) < different <= len(filled) / 2:
            continue
        by_value: dict[str, Counter[str]] = defaultdict(Counter)
        for value, said in zip(values, labels, strict=True):
            by_value[value][said] += 1
        agree = sum(max(counted.values()) for counted in by_value.values()) / len(values)
        if agree >= _AGREE and (best is None or agree > best[0]):
            best = agree, at
    return None if best is None else best[1]
