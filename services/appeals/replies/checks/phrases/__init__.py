"""Phrases that the checks look for, as data: `stems` as in `tokenizer.py`, and what to write instead."""

from functools import cache

from services.appeals.classification.text.tokenizer import StemIndex
from shared.tabular.reader import package_rows


@cache
def phrase_index(name: str) -> StemIndex:
    """Return the phrases of a file in this folder, such as `canned.csv`; the label of each is its advice."""
    advice: dict[str, list[str]] = {}
    for row in package_rows(__package__, name):
        advice.setdefault(row["advice"], []).append(row["stems"])
    return StemIndex(advice)
