"""The demo's region: organisations with plausible names and invented institutions, and their pages."""

import csv
from dataclasses import dataclass
from importlib.resources import files
from io import StringIO


@dataclass(frozen=True)
class Organisation:
    """One row of `region.csv`; `pages` maps a network to the screen name of the page there."""

    code: str
    kind: str
    sphere: str
    municipality: str | None
    parent: str | None
    name: str
    short_name: str
    pages: dict[str, str]


def load() -> list[Organisation]:
    """All organisations, each after its parent."""
    text = files("cli.demo").joinpath("region.csv").read_text(encoding="utf-8")
    return [
        Organisation(
            row["code"],
            row["kind"],
            row["sphere"],
            row["municipality"] or None,
            row["parent"] or None,
            row["name"],
            row["short_name"],
            {network: row[network] for network in ("vk", "ok") if row[network]},
        )
        for row in csv.DictReader(StringIO(text))
    ]
