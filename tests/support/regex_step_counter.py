"""Match regular expressions by backtracking and count the steps, to measure their cost without a clock.

Matching gives the same results as `re` (a test compares the spans); each character or alternative is a step.
"""

import re
import re._constants as op  # type: ignore[import-not-found]
import re._parser as parser  # type: ignore[import-not-found]
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

# Matches the remaining expression at an index in the text; returns the end of the match, or None.
Rest = Callable[[int], int | None]

_SINGLE = {op.LITERAL, op.NOT_LITERAL, op.IN, op.ANY}
_CATEGORIES: dict[Any, Callable[[str], bool]] = {
    op.CATEGORY_DIGIT: str.isdecimal,
    op.CATEGORY_NOT_DIGIT: lambda letter: not letter.isdecimal(),
    op.CATEGORY_SPACE: str.isspace,
    op.CATEGORY_NOT_SPACE: lambda letter: not letter.isspace(),
    op.CATEGORY_WORD: lambda letter: letter.isalnum() or letter == "_",
    op.CATEGORY_NOT_WORD: lambda letter: not (letter.isalnum() or letter == "_"),
}


class Steps:
    """Matches a pattern and counts the steps."""

    def __init__(self, pattern: re.Pattern[str]) -> None:
        self._flags = pattern.flags
        self._tree = list(parser.parse(pattern.pattern, pattern.flags & ~re.UNICODE))
        self._known: dict[tuple[int, str], bool] = {}
        self._text = ""
        self._groups: dict[int, tuple[int, int]] = {}
        self.count = 0

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Return the spans of all matches, as `finditer` does."""
        self._text, self.count = text, 0
        found, at, empty_from = [], 0, -1
        while at <= len(text):
            self._groups = {}
            end = self._match(self._tree, 0, at, lambda place: place)
            if end is None or (end == at == empty_from):
                at += 1
                continue
            found.append((at, end))
            empty_from = end
            at = end if end > at else at + 1
        return found

    def _match(self, nodes: list[Any], node: int, at: int, rest: Rest) -> int | None:
        self.count += 1
        if node == len(nodes):
            return rest(at)
        kind, value = nodes[node]

        def go_on(place: int) -> int | None:
            return self._match(nodes, node + 1, place, rest)

        if kind in _SINGLE:
            return go_on(at + 1) if self._fits(nodes[node], at) else None
        if kind in (op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT):
            least, most, body = value
            return self._repeat(kind, least, most, body, at, go_on)
        return self._compound(kind, value, at, go_on)

    def _compound(self, kind: Any, value: Any, at: int, go_on: Rest) -> int | None:
        if kind is op.BRANCH:
            for branch in value[1]:
                if (end := self._match(list(branch), 0, at, go_on)) is not None:
                    return end
            return None
        if kind is op.SUBPATTERN:
            group, _, _, body = value

            def closed(place: int) -> int | None:
                if group is None:
                    return go_on(place)
                before = self._groups.get(group)
                self._groups[group] = (at, place)
                end = go_on(place)
                if end is None and before is not None:
                    self._groups[group] = before
                return end

            return self._match(list(body), 0, at, closed)
        if kind is op.ATOMIC_GROUP:
            end = self._match(list(value), 0, at, lambda place: place)
            return None if end is None else go_on(end)
        if kind in (op.ASSERT, op.ASSERT_NOT):
            direction, body = value
            start = at if direction > 0 else at - body.getwidth()[0]
            holds = start >= 0 and self._match(list(body), 0, start, lambda place: place) is not None
            return go_on(at) if holds == (kind is op.ASSERT) else None
        if kind is op.GROUPREF:
            said = self._text[slice(*self._groups[value])] if value in self._groups else None
            self.count += len(said or "")
            return go_on(at + len(said)) if said is not None and self._text.startswith(said, at) else None
        if kind is op.AT:
            return go_on(at) if self._is_at(value, at) else None
        raise ValueError(f"the matcher does not support {kind}: add it before using the count")

    def _repeat(  # noqa: PLR0917 — the parts of a repeat, and where it is tried
        self, kind: Any, least: int, most: Any, body: Any, at: int, go_on: Rest
    ) -> int | None:
        nodes = list(body)
        if len(nodes) == 1 and nodes[0][0] in _SINGLE and kind is not op.MIN_REPEAT:
            run = 0
            while run < most and self._fits(nodes[0], at + run):
                run += 1
            if kind is op.POSSESSIVE_REPEAT:
                return go_on(at + run) if run >= least else None
            for taken in range(run, least - 1, -1):
                self.count += 1
                if (end := go_on(at + taken)) is not None:
                    return end
            return None
        if kind is op.POSSESSIVE_REPEAT:
            end = self._times(nodes, 0, least, most, at, lambda place: place, lazy=False)
            return None if end is None else go_on(end)
        return self._times(nodes, 0, least, most, at, go_on, lazy=kind is op.MIN_REPEAT)

    def _times(  # noqa: PLR0917 — as `_repeat`
        self, nodes: list[Any], done: int, least: int, most: Any, at: int, go_on: Rest, *, lazy: bool
    ) -> int | None:
        def once_more() -> int | None:
            if done >= most:
                return None
            return self._match(
                nodes,
                0,
                at,
                lambda place: (
                    None
                    if place == at and done >= least
                    else self._times(nodes, done + 1, least, most, place, go_on, lazy=lazy)
                ),
            )

        def stop() -> int | None:
            return go_on(at) if done >= least else None

        first, second = (stop, once_more) if lazy else (once_more, stop)
        end = first()
        return second() if end is None else end

    def _fits(self, node: Any, at: int) -> bool:
        self.count += 1
        if at >= len(self._text):
            return False
        key = id(node), self._text[at]
        if key not in self._known:
            self._known[key] = self._is_one(node, self._text[at])
        return self._known[key]

    def _is_one(self, node: Any, letter: str) -> bool:
        kind, value = node
        if kind is op.ANY:
            return bool(self._flags & re.DOTALL) or letter != "\n"
        cased = {letter, letter.lower(), letter.upper()} if self._flags & re.IGNORECASE else {letter}
        codes = [ord(one) for one in cased if len(one) == 1]
        if kind is op.IN:
            negated = value[0][0] is op.NEGATE
            return negated != any(self._is_in(item, letter, codes) for item in value[int(negated) :])
        return (value in codes) == (kind is op.LITERAL)

    def _is_in(self, item: Any, letter: str, codes: list[int]) -> bool:
        kind, value = item
        if kind is op.LITERAL:
            return value in codes
        if kind is op.RANGE:
            return any(value[0] <= code <= value[1] for code in codes)
        ascii_only = bool(self._flags & re.ASCII) and not letter.isascii()
        return _CATEGORIES[value]("\u00a1" if ascii_only else letter)

    def _is_at(self, where: Any, at: int) -> bool:
        text = self._text
        if where in (op.AT_BEGINNING, op.AT_BEGINNING_STRING):
            return at == 0
        if where is op.AT_END_STRING:
            return at == len(text)
        if where is op.AT_END:
            return at == len(text) or (at == len(text) - 1 and text[at] == "\n")
        word = _CATEGORIES[op.CATEGORY_WORD]
        edge = (at > 0 and word(text[at - 1])) != (at < len(text) and word(text[at]))
        return edge == (where is op.AT_BOUNDARY)


def samples(pattern: re.Pattern[str], chance: Random) -> Iterator[str]:
    """Yield texts that begin a match: repeated, they cause the most backtracking."""
    whole = _sample(list(parser.parse(pattern.pattern, pattern.flags & ~re.UNICODE)), chance)
    for length in range(1, min(len(whole), 24) + 1):
        yield whole[:length]


def _sample(nodes: list[Any], chance: Random) -> str:
    said = ""
    for kind, value in nodes:
        if kind is op.LITERAL:
            said += chr(value)
        elif kind is op.NOT_LITERAL or kind is op.ANY:
            said += "х"
        elif kind is op.IN:
            said += _sample_of(chance.choice(value))
        elif kind is op.BRANCH:
            said += _sample(list(chance.choice(value[1])), chance)
        elif kind is op.SUBPATTERN:
            said += _sample(list(value[3]), chance)
        elif kind is op.ATOMIC_GROUP:
            said += _sample(list(value), chance)
        elif kind in (op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT):
            said += _sample(list(value[2]), chance) * max(value[0], min(value[1], chance.randint(0, 2)))
    return said


def _sample_of(item: Any) -> str:
    kind, value = item
    if kind is op.LITERAL:
        return chr(value)
    if kind is op.RANGE:
        return chr(value[0])
    if kind is op.CATEGORY:
        return {op.CATEGORY_DIGIT: "8", op.CATEGORY_SPACE: " ", op.CATEGORY_WORD: "м"}.get(value, "-")
    return "х"
