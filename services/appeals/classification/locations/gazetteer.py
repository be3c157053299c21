"""The gazetteer of the republic, read from `data/*.csv` and indexed for finding names in a text word by word.

How to add a name: `docs/developer/classification.md`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import product
from sys import intern
from typing import Literal

from services.appeals.classification.locations.declension import (
    CASES,
    CaseForms,
    adjective_forms,
    adjective_stems,
    case_forms,
)
from services.appeals.classification.text.tokenizer import tokenize
from shared.tabular.reader import package_rows
from shared.text.normalize import fold_text

_SHORTEST_ADJECTIVE = 5
MIN_TYPO_LENGTH = 7
_FORGIVEN = ("settlement", "municipality", "locality")

EntryKind = Literal["municipality", "settlement", "locality", "landmark", "street", "region"]
# What must be beside a name for it to be recognised: nothing, a preposition with the case that it governs, its
# type («село», «мкр»), «квартал» or «микрорайон» for a number, or the type of a garden association («СНТ»).
RequiredEvidence = Literal["", "preposition", "type", "number", "garden"]
_NEEDS: dict[str, RequiredEvidence] = {
    "": "",
    "preposition": "preposition",
    "type": "type",
    "number": "number",
    "garden": "garden",
}

# fmt: off
_INITIALS = {
    "верхний": "в", "верхняя": "в", "верхнее": "в", "верхние": "в", "нижний": "н", "нижняя": "н", "нижние": "н",
    "большой": "б", "большая": "б", "большое": "б", "малый": "м", "малая": "м", "малое": "м", "новый": "н",
    "новая": "н", "старый": "с", "старая": "с", "старое": "с", "средний": "с", "усть": "у",
}
# fmt: on
_ABBREVIATED = {
    "верхний": "верх",
    "нижний": "ниж",
    "старый": "ст",
    "старая": "ст",
    "старое": "ст",
    "средний": "ср",
}


@dataclass(frozen=True, slots=True)
class GazetteerEntry:
    """An entry of the gazetteer. `municipality` is empty for other regions, `settlement` for a name that implies
    no settlement.
    """

    kind: EntryKind
    name: str
    municipality: str
    settlement: str
    required_evidence: RequiredEvidence = ""
    # The default among locations of the same name, or a street that is known in the whole republic.
    is_default: bool = False
    # Stems that make the name an ordinary word in their sentence: «кофе в турке».
    excluding_stems: tuple[str, ...] = ()


@dataclass
class Gazetteer:
    """All names, indexed by their words: for each form the entries that it may mean, with its grammatical cases.

    `starts`: first word → the lengths of the names that begin with it, longest first.
    """

    names: dict[tuple[str, ...], tuple[tuple[GazetteerEntry, str], ...]] = field(default_factory=dict)
    starts: dict[str, tuple[int, ...]] = field(default_factory=dict)
    adjectives: dict[tuple[str, ...], tuple[GazetteerEntry, ...]] = field(default_factory=dict)
    adjective_starts: dict[str, tuple[int, ...]] = field(default_factory=dict)
    numbered: dict[str, tuple[GazetteerEntry, ...]] = field(default_factory=dict)
    municipalities: dict[str, str] = field(default_factory=dict)
    # Long words of names by first letter and length, to find the name meant by a misspelt word.
    long_words: dict[tuple[str, int], tuple[str, ...]] = field(default_factory=dict)
    street_words: dict[tuple[str, int], tuple[str, ...]] = field(default_factory=dict)
    vocabulary: frozenset[str] = frozenset()
    bodies: tuple[tuple[str, str], ...] = ()


def _rows(name: str) -> Iterator[dict[str, str]]:
    return package_rows("services.appeals.classification.locations", "data", f"{name}.csv")


def _aliases(row: dict[str, str], column: str = "aliases") -> list[str]:
    return [alias for alias in row[column].split(";") if alias]


def _variants(name: str) -> Iterator[tuple[str, ...]]:
    """Yield the spellings of a name as tuples of words: also without hyphens, and with «Верхний» abbreviated."""
    words = tuple(tokenize(fold_text(name)))
    if not words:
        raise ValueError(f"the gazetteer has a name without letters: {name!r}")
    yield words
    if "-" in name and " " not in name and len(words) > 1:
        yield ("".join(words),)
    if len(words) > 1:
        for short in (_INITIALS.get(words[0]), _ABBREVIATED.get(words[0])):
            if short:
                yield (short, *words[1:])


class _Builder:
    def __init__(self) -> None:
        self.names: dict[tuple[str, ...], dict[GazetteerEntry, str]] = {}
        self.adjectives: dict[tuple[str, ...], list[GazetteerEntry]] = {}
        self._forms: dict[str, CaseForms] = {}

    def _forms_of(self, word: str) -> CaseForms:
        if word not in self._forms:
            self._forms[word] = case_forms(word)
        return self._forms[word]

    def add(self, entry: GazetteerEntry, written: str, *, declined: bool = True) -> None:
        for words in _variants(written):
            if not declined:
                self._put(words, entry, CASES)
                continue
            # In «Усть-Баргузин» and «Саган-Нур» only the last word is declined; in «Большая Речка» all are.
            hyphened = "-" in written and " " not in written
            changing = [
                dict.fromkeys(CASES, (word,))
                if (hyphened and at < len(words) - 1) or len(word) == 1 or word.isdigit()
                else self._forms_of(word)
                for at, word in enumerate(words)
            ]
            for case in CASES:
                if len(changing) == 1:
                    for word in changing[0][case]:
                        self._put((word,), entry, case)
                    continue
                for form in product(*(forms[case] for forms in changing)):
                    self._put(form, entry, case)

    def _put(self, words: tuple[str, ...], entry: GazetteerEntry, cases: str) -> None:
        known = self.names.setdefault(words, {})
        found = known.get(entry, "")
        # Interned: thousands of forms share a few combinations of cases.
        known[entry] = intern(found + "".join(case for case in cases if case not in found))

    def adjective(self, entry: GazetteerEntry, stem: tuple[str, ...]) -> None:
        for form in adjective_forms(stem[-1]):
            entries = self.adjectives.setdefault((*stem[:-1], form), [])
            if entry not in entries:
                entries.append(entry)


def _add_municipalities(build: _Builder, gazetteer: Gazetteer) -> None:
    for row in _rows("municipalities"):
        name = row["name"]
        entry = GazetteerEntry("municipality", name, name, "")
        gazetteer.municipalities[fold_text(name)] = name
        for alias in _aliases(row):
            build.add(entry, alias)
        spoken = GazetteerEntry("municipality", name, name, "", "preposition")
        for alias in _aliases(row, "with_preposition"):
            build.add(spoken, alias)
        if name.endswith(" район"):
            stem = tokenize(fold_text(name.split(" ", maxsplit=1)[0]).removesuffix("ий"))
            build.adjective(entry, tuple(stem))
            if len(stem) > 1:
                joined = GazetteerEntry("municipality", name, name, "", "type")
                build.adjective(joined, ("".join(stem),))


def _add_settlements(build: _Builder, gazetteer: Gazetteer) -> None:
    for row in _rows("settlements"):
        entry = GazetteerEntry(
            "settlement",
            row["name"],
            row["municipality"],
            row["name"],
            _NEEDS[row["needs"]],
            row["main"] == "yes",
            tuple(_aliases(row, "unless")),
        )
        for written in (row["name"], *_aliases(row)):
            build.add(entry, written)
        words = tokenize(fold_text(row["name"]))
        if entry.required_evidence != "type" and len("".join(words)) >= _SHORTEST_ADJECTIVE:
            for stem in adjective_stems(words[-1]):
                build.adjective(entry, (*words[:-1], stem))
                if len(words) > 1 and "-" in row["name"]:
                    build.adjective(entry, ("".join((*words[:-1], stem)),))


def _add_town_parts(build: _Builder, gazetteer: Gazetteer) -> None:
    numbered: dict[str, list[GazetteerEntry]] = {}
    for row in _rows("localities"):
        entry = GazetteerEntry(
            "locality", row["name"], row["municipality"], row["settlement"], _NEEDS[row["needs"]]
        )
        if entry.required_evidence == "number":
            numbered.setdefault(fold_text(row["name"]).split()[0], []).append(entry)
            continue
        for written in (row["name"], *_aliases(row)):
            build.add(entry, written)
        for written in _aliases(row, "with_preposition"):
            build.add(replace(entry, required_evidence="preposition"), written)
    gazetteer.numbered = {number: tuple(entries) for number, entries in numbered.items()}
    for row in _rows("landmarks"):
        entry = GazetteerEntry("landmark", row["name"], row["municipality"], row["settlement"])
        for written in (row["name"], *_aliases(row)):
            build.add(entry, written)


def _add_streets(build: _Builder, gazetteer: Gazetteer) -> None:
    for row in _rows("streets"):
        entry = GazetteerEntry(
            "street", row["name"], row["municipality"], row["settlement"], is_default=row["known"] == "yes"
        )
        for written in (row["name"], *_aliases(row)):
            words = [word for word in tokenize(fold_text(written)) if word not in STREET_WORDS]
            build.add(entry, " ".join(words), declined=words[-1].endswith(("ая", "яя", "ий")))
            if "-" in written and len(words) > 1:
                build.add(entry, "".join(words), declined=words[-1].endswith(("ая", "яя")))


STREET_WORDS = frozenset(("проспект", "бульвар", "переулок", "площадь", "тракт"))


def _add_regions(build: _Builder, gazetteer: Gazetteer) -> None:
    for row in _rows("other_regions"):
        entry = GazetteerEntry("region", row["name"], "", "")
        for written in (row["name"], *_aliases(row)):
            build.add(entry, written)


def _starts(keys: Iterator[tuple[str, ...]]) -> dict[str, tuple[int, ...]]:
    lengths: dict[str, set[int]] = {}
    for key in keys:
        lengths.setdefault(key[0], set()).add(len(key))
    return {word: tuple(sorted(found, reverse=True)) for word, found in lengths.items()}


def _by_start(words: Iterable[str]) -> dict[tuple[str, int], tuple[str, ...]]:
    alike: dict[tuple[str, int], list[str]] = {}
    for word in sorted(words):
        alike.setdefault((word[0], len(word)), []).append(word)
    return {key: tuple(found) for key, found in alike.items()}


def _long_words(build: _Builder) -> set[str]:
    found: set[str] = set()
    for words, entries in build.names.items():
        if any(entry.kind in _FORGIVEN and not entry.required_evidence for entry in entries):
            found.update(word for word in words if len(word) >= MIN_TYPO_LENGTH)
    for words, districts in build.adjectives.items():
        if not any(entry.kind == "municipality" for entry in districts):
            continue
        found.update(word for word in words if len(word) >= MIN_TYPO_LENGTH + 2)
    return found


def _street_words(build: _Builder) -> set[str]:
    return {
        words[0]
        for words, entries in build.names.items()
        if len(words) == 1
        and len(words[0]) >= MIN_TYPO_LENGTH
        and any(entry.kind == "street" for entry in entries)
    }


@lru_cache(maxsize=1)
def gazetteer() -> Gazetteer:
    """Return the gazetteer, loaded at the first call. Raises `KeyError` or `ValueError` for an invalid file."""
    read, build = Gazetteer(), _Builder()
    for add in (_add_municipalities, _add_settlements, _add_town_parts, _add_streets, _add_regions):
        add(build, read)
    read.names = {words: tuple(entries.items()) for words, entries in build.names.items()}
    read.adjectives = {words: tuple(entries) for words, entries in build.adjectives.items()}
    read.starts = _starts(iter(read.names))
    read.adjective_starts = _starts(iter(read.adjectives))
    read.vocabulary = frozenset(word for key in (*read.names, *read.adjectives) for word in key)
    read.long_words = _by_start(_long_words(build))
    read.street_words = _by_start(_street_words(build))
    read.bodies = tuple((fold_text(row["pattern"]), row["scope"]) for row in _rows("bodies"))
    return read
