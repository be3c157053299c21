"""Settlements as the gazetteer spells them, by municipality: what is read in messages, so what rules may name."""

import csv
from collections.abc import Mapping
from functools import cache
from importlib.resources import files


def settlement_key(settlement: str | None) -> str | None:
    """A settlement's name as rules compare it."""
    return settlement.strip().casefold().replace("ё", "е") if settlement else None


_DATA = "services.appeals.classification.locations"


@cache
def settlement_names() -> Mapping[str, Mapping[str, str]]:
    """Name of a municipality → its settlements, each by what `place_key` makes of its name."""
    found: dict[str, dict[str, str]] = {}
    table = files(_DATA).joinpath("data", "settlements.csv").read_text(encoding="utf-8")
    for row in csv.DictReader(table.splitlines()):
        found.setdefault(row["municipality"], {})[settlement_key(row["name"]) or ""] = row["name"]
    return found
