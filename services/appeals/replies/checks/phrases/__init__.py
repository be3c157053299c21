"""Loading of the phrases that the checks look for. CSV files have `stems`, in the notation of `tokenizer.py`, and
advice.
"""

from functools import cache

from services.appeals.classification.text.tokenizer import StemIndex
from shared.tabular.reader import package_rows


@cache
def phrase_index(name: str) -> StemIndex:
    """Return an index of the phrases in a file of this folder, such as `canned.csv`; the label of a phrase is its
    advice.
    """
    advice: dict[str, list[str]] = {}
    for row in package_rows(__package__, name):
        advice.setdefault(row["advice"], []).append(row["stems"])
    return StemIndex(advice)
