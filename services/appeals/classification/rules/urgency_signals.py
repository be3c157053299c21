"""Urgency signals of a text: dangers, utility failures, how many people are affected, since when, and whether it
continues.

The words are data (`danger.csv`, `faults.csv`, `urgency.csv`); this module combines them. A signal quotes the
words it is based on, so that a person can check it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache

from services.appeals.classification.text import word_lists
from services.appeals.classification.text.tokenizer import CleanText, StemIndex, StemMatch, clean_post


def _stems(written: str) -> list[str]:
    return [stem.strip() for stem in written.replace("\n", " ").split(",") if stem.strip()]


_REMEMBERED = 1_000
_FROST = re.compile(
    r"(?:минус|мороз\w{0,20}|-|−|–)\s?(?:1[5-9]|[2-5]\d)\b|\bморозы?\b|(?:\+|плюс)\s?(?:\d|1[0-4])\b|"
    r"\b(?:\d|1[0-4])\s?(?:градус|°|тепла)"
)
# Field of `UrgencySignals` → label in `urgency.csv`.
_LABELS = {
    "service_absent": "absent",
    "many_affected": "wide",
    "one_household": "single",
    "long_standing": "chronic",
    "in_the_past": "over",
    "happening_now": "now",
    "vulnerable_people": "frail",
    "care_facilities": "places",
}
_SHOUT = re.compile(r"!!+|!{2,}")


@dataclass(frozen=True)
class UrgencySignals:
    """The signals found: dangers with their words, utility failures, how many people are affected and for how
    long.
    """

    dangers: Mapping[str, str] = field(default_factory=dict)
    utility_failures: Mapping[str, str] = field(default_factory=dict)
    service_absent: bool = False
    many_affected: bool = False
    one_household: bool = False
    long_standing: bool = False
    in_the_past: bool = False
    happening_now: bool = False
    vulnerable_people: bool = False
    care_facilities: bool = False
    frost: bool = False
    shout: bool = False

    @property
    def utility_failure(self) -> str | None:
        """Return the utility that the text names first as out of order, or None."""
        return next(iter(self.utility_failures), None) if self.service_absent else None

    def features(self) -> list[float]:
        """Return the signals and their combinations as numbers in a fixed order."""
        danger, utility_failure = bool(self.dangers), bool(self.utility_failures) and self.service_absent
        alone = [
            danger, utility_failure, self.service_absent, self.many_affected, self.one_household,
            self.long_standing, self.in_the_past, self.happening_now, self.vulnerable_people, self.care_facilities,
            self.frost, self.shout, len(self.dangers) > 1,
        ]  # fmt: skip
        together = [
            *(
                danger and flag
                for flag in (
                    self.happening_now,
                    self.vulnerable_people,
                    self.long_standing,
                    self.in_the_past,
                    self.many_affected,
                    self.shout,
                )
            ),
            *(
                utility_failure and flag
                for flag in (
                    self.many_affected,
                    self.one_household,
                    self.long_standing,
                    self.in_the_past,
                    self.happening_now,
                    self.frost,
                )
            ),
            self.care_facilities and self.frost,
            self.care_facilities and utility_failure,
            danger and self.vulnerable_people and self.happening_now,
            utility_failure and self.many_affected and not self.one_household and not self.long_standing,
            utility_failure and self.one_household and not self.many_affected,
        ]
        kinds = [kind in self.dangers for kind in danger_index()[1]]
        out = [utility_failure and kind in self.utility_failures for kind in utility_failure_index()[1]]
        return [float(flag) for flag in (*alone, *together, *kinds, *out)]


@cache
def danger_index() -> tuple[StemIndex, tuple[str, ...]]:
    """Return the index of danger stems, and the kinds of danger in order."""
    rows = word_lists.load_rows("danger.csv")
    return StemIndex({row["kind"]: _stems(row["stems"]) for row in rows}), tuple(row["kind"] for row in rows)


@cache
def utility_failure_index() -> tuple[StemIndex, tuple[str, ...]]:
    """Return the index of utility stems, and the kinds of utility in order."""
    rows = word_lists.load_rows("faults.csv")
    return StemIndex({row["fault"]: _stems(row["subjects"]) for row in rows}), tuple(row["fault"] for row in rows)


@cache
def utility_failure_names() -> Mapping[str, str]:
    """Return the display name of each kind of utility failure."""
    return {row["fault"]: row["name"] for row in word_lists.load_rows("faults.csv")}


@cache
def _others() -> StemIndex:
    return StemIndex({row["label"]: _stems(row["stems"]) for row in word_lists.load_rows("urgency.csv")})


def _by_label(hits: list[StemMatch]) -> dict[str, str]:
    found: dict[str, str] = {}
    for hit in hits:
        found.setdefault(hit.label, hit.words)
    return found


@lru_cache(maxsize=_REMEMBERED)
def post_urgency_signals(post: str) -> UrgencySignals:
    """Return the urgency signals of a post, cached for all its comments."""
    return detect_urgency_signals(clean_post(post))


def detect_urgency_signals(text: str | CleanText) -> UrgencySignals:
    """Return the urgency signals of a text."""
    source = CleanText.of(text)
    words = source.tokens
    others = {hit.label for hit in _others().find(words)}
    return UrgencySignals(
        dangers=_by_label(danger_index()[0].find(words)),
        utility_failures=_by_label(utility_failure_index()[0].find(words)),
        frost=bool(_FROST.search(source.cleaned)),
        shout=bool(_SHOUT.search(source.original)),
        **{name: label in others for name, label in _LABELS.items()},
    )
