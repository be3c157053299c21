"""Compare two versions of a text line by line."""

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher

# The comparison blocks the event loop: texts that differ in too many lines are not compared.
_MOST_PAIRS = 40_000


@dataclass(frozen=True)
class DiffLine:
    """A line; `change` is `same`, `ins` (only in the second text) or `del` (only in the first)."""

    change: str
    text: str


def line_diff(former: str, later: str) -> list[DiffLine] | None:
    """Return the lines of both texts in order, each with its change; None if the texts differ too much to
    compare.
    """
    before, after = former.splitlines(), later.splitlines()
    begin = _common(before, after)
    end = _common(before[begin:][::-1], after[begin:][::-1])
    cut_before, cut_after = before[begin : len(before) - end], after[begin : len(after) - end]
    if len(cut_before) * len(cut_after) > _MOST_PAIRS:
        return None
    return [
        *(DiffLine("same", line) for line in before[:begin]),
        *_changed(cut_before, cut_after),
        *(DiffLine("same", line) for line in before[len(before) - end :]),
    ]


def _common(one: list[str], other: list[str]) -> int:
    """Return the number of equal lines at the beginning."""
    pairs = zip(one, other, strict=False)
    return next((at for at, (first, second) in enumerate(pairs) if first != second), min(len(one), len(other)))


def _changed(former: list[str], later: list[str]) -> Iterator[DiffLine]:
    for tag, a, b, c, d in SequenceMatcher(None, former, later, autojunk=False).get_opcodes():
        if tag == "equal":
            yield from (DiffLine("same", line) for line in former[a:b])
        else:
            yield from (DiffLine("del", line) for line in former[a:b])
            yield from (DiffLine("ins", line) for line in later[c:d])
