"""Settlement names as the gazetteer spells them, by municipality: the values that messages and routing rules
store.
"""

from collections.abc import Mapping
from functools import cache

from shared.tabular.reader import package_rows
from shared.text.normalize import fold_case


def settlement_key(settlement: str | None) -> str | None:
    """Return the form of a settlement's name by which routing rules compare it."""
    return fold_case(settlement.strip()) if settlement else None


_DATA = "services.appeals.classification.locations"


@cache
def settlement_names() -> Mapping[str, Mapping[str, str]]:
    """Return a mapping from the name of a municipality to its settlements by `settlement_key`."""
    found: dict[str, dict[str, str]] = {}
    for row in package_rows(_DATA, "data", "settlements.csv"):
        found.setdefault(row["municipality"], {})[settlement_key(row["name"]) or ""] = row["name"]
    return found
