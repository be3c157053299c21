"""Two versions of a text, line by line."""

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher


@dataclass(frozen=True)
class DiffLine:
    """A line; `change` is `same`, `ins` (only in the second text) or `del` (only in the first)."""

    change: str
    text: str


def line_diff(former: str, later: str) -> list[DiffLine]:
    """Return the lines of both texts in order, each with what happened to it."""
    return list(_lines(former.splitlines(), later.splitlines()))


def _lines(former: list[str], later: list[str]) -> Iterator[DiffLine]:
    for tag, a, b, c, d in SequenceMatcher(None, former, later, autojunk=False).get_opcodes():
        if tag == "equal":
            yield from (DiffLine("same", line) for line in former[a:b])
        else:
            yield from (DiffLine("del", line) for line in former[a:b])
            yield from (DiffLine("ins", line) for line in later[c:d])
