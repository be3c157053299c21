"""No written cell runs as a formula, with any separator that a spreadsheet may use."""

import csv
import io
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cli.atomic_files import atomic_csv_writer
from services.registry.api.csv_response import csv_response
from shared.tabular.formula_escaping import escaped, harmless, unescaped
from shared.tabular.writer import csv_bytes, csv_chunks

SIGNS = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
# Characters before a formula sign.
HOSTILE = st.text(alphabet=st.sampled_from("=+-@＝;\t\r\n\"' ,а1"), max_size=12)


def runs(written: str) -> list[str]:
    """Return the cells of a file that a spreadsheet would run as formulas, for each separator."""
    return [
        cell
        for separator in (",", ";", "\t")
        for row in csv.reader(io.StringIO(written, newline=""), delimiter=separator)
        for cell in row
        if cell.strip(" \t\r\n").startswith(SIGNS)
    ]


@given(st.lists(HOSTILE | st.text(), min_size=1, max_size=4))
@example(["1", "нет;=cmd|' /C calc'!A0"])
@example(["1", "нет\t=1+1"])
@example(["1", "нет\n=1+1"])
@example(["1", 'нет;"=1+1";'])
@example(["1", "нет; =1+1"])
@example([" =1+1"])
def test_no_cell_runs_as_a_formula_with_any_separator(cells: list[str]) -> None:
    table = io.StringIO(newline="")
    writer = csv.writer(table, quoting=csv.QUOTE_ALL) if any("\r" in cell for cell in cells) else csv.writer(table)
    writer.writerow([escaped(cell) for cell in cells])
    assert not runs(table.getvalue())


@given(HOSTILE | st.text())
@example('"\r=')
@example("'=1")
@example(";''=1")
@example("\t'=1")
def test_escaped_cell_is_read_back_unchanged(text: str) -> None:
    assert unescaped(escaped(text)) == text


@given(HOSTILE | st.text())
def test_foreign_cell_is_changed_only_if_it_is_a_formula(text: str) -> None:
    written = harmless(text)
    assert written in {text, escaped(text)}
    assert harmless(written) == written
    assert unescaped(written) in {text, unescaped(text)}


@pytest.mark.parametrize("word", ["Нет света; очень холодно", "т. 8 (3012) 21-21-21", "и/или - да", "a@b.ru"])
def test_plain_text_is_not_changed(word: str) -> None:
    assert escaped(word) == word


async def test_all_written_files_are_escaped(tmp_path: Path) -> None:
    row = ["1", "нет;=1+1"]
    own = tmp_path / "own.csv"
    with atomic_csv_writer(own) as write:
        write(row)
    answered = csv_response("pages", ["номер", "слова"], [row])
    for written in (
        bytes(answered.body),
        b"".join(csv_chunks(iter([row]))),
        csv_bytes([row]),
        own.read_bytes(),
    ):
        assert not runs(written.decode("utf-8-sig")), written
