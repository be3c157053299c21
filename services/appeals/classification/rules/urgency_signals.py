"""Signs of urgency in a text: what endangers, what is out and for how many, whether now or long since.

The words are data (`data/danger.csv`, `faults.csv`, `urgency.csv`); here is how they are put together. A sign
names the words that made it, so that a person can check.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache

from services.appeals.classification.text import word_lists
from services.appeals.classification.text.tokenizer import Hit, PlainText, StemIndex, plain_post


def _stems(written: str) -> list[str]:
    return [stem.strip() for stem in written.replace("\n", " ").split(",") if stem.strip()]


_REMEMBERED = 1_000
_FROST = re.compile(
    r"(?:минус|мороз\w{0,20}|-|−|–)\s?(?:1[5-9]|[2-5]\d)\b|\bморозы?\b|(?:\+|плюс)\s?(?:\d|1[0-4])\b|"
    r"\b(?:\d|1[0-4])\s?(?:градус|°|тепла)"
)
_LABELS = ("absent", "wide", "single", "chronic", "over", "now", "frail", "places")
_SHOUT = re.compile(r"!!+|!{2,}")


@dataclass(frozen=True)
class Signs:
    """What was found: kinds of danger with their words, what is out, and how far and how long it reaches."""

    dangers: Mapping[str, str] = field(default_factory=dict)
    faults: Mapping[str, str] = field(default_factory=dict)
    absent: bool = False
    wide: bool = False
    single: bool = False
    chronic: bool = False
    over: bool = False
    now: bool = False
    frail: bool = False
    places: bool = False
    frost: bool = False
    shout: bool = False

    @property
    def fault(self) -> str | None:
        """What is out, if something is: the first named."""
        return next(iter(self.faults), None) if self.absent else None

    def features(self) -> list[float]:
        """Signs alone and together, as numbers; the order is fixed."""
        danger, fault = bool(self.dangers), bool(self.faults) and self.absent
        alone = [
            danger, fault, self.absent, self.wide, self.single, self.chronic, self.over, self.now, self.frail,
            self.places, self.frost, self.shout, len(self.dangers) > 1,
        ]  # fmt: skip
        together = [
            *(danger and flag for flag in (self.now, self.frail, self.chronic, self.over, self.wide, self.shout)),
            *(fault and flag for flag in (self.wide, self.single, self.chronic, self.over, self.now, self.frost)),
            self.places and self.frost,
            self.places and fault,
            danger and self.frail and self.now,
            fault and self.wide and not self.single and not self.chronic,
            fault and self.single and not self.wide,
        ]
        kinds = [kind in self.dangers for kind in dangers()[1]]
        out = [fault and kind in self.faults for kind in faults()[1]]
        return [float(flag) for flag in (*alone, *together, *kinds, *out)]


@cache
def dangers() -> tuple[StemIndex, tuple[str, ...]]:
    """Stems of dangers, and their kinds in order."""
    rows = word_lists.rows("danger.csv")
    return StemIndex({row["kind"]: _stems(row["stems"]) for row in rows}), tuple(row["kind"] for row in rows)


@cache
def faults() -> tuple[StemIndex, tuple[str, ...]]:
    """Stems of what may be out, and its kinds in order."""
    rows = word_lists.rows("faults.csv")
    return StemIndex({row["fault"]: _stems(row["subjects"]) for row in rows}), tuple(row["fault"] for row in rows)


@cache
def fault_names() -> Mapping[str, str]:
    """What people read of each kind of fault."""
    return {row["fault"]: row["name"] for row in word_lists.rows("faults.csv")}


@cache
def _others() -> StemIndex:
    return StemIndex({row["label"]: _stems(row["stems"]) for row in word_lists.rows("urgency.csv")})


def _by_label(hits: list[Hit]) -> dict[str, str]:
    found: dict[str, str] = {}
    for hit in hits:
        found.setdefault(hit.label, hit.words)
    return found


@lru_cache(maxsize=_REMEMBERED)
def signs_of_post(post: str) -> Signs:
    """The signs of a post, read once for all its comments."""
    return signs(plain_post(post))


def signs(text: str | PlainText) -> Signs:
    """Read the signs of a text."""
    source = PlainText.of(text)
    words = source.words
    others = {hit.label for hit in _others().find(words)}
    return Signs(
        dangers=_by_label(dangers()[0].find(words)),
        faults=_by_label(faults()[0].find(words)),
        frost=bool(_FROST.search(source.plain)),
        shout=bool(_SHOUT.search(source.written)),
        **{label: label in others for label in _LABELS},
    )
