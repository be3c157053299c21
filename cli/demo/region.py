"""The region of the demo: organisations with plausible names, invented institutions, and their pages."""

from dataclasses import dataclass

from shared.tabular.reader import package_rows


@dataclass(frozen=True)
class Organisation:
    """One row of `region.csv`; `pages` maps a network to the screen name of the page there.

    The first of `spheres` is the main one.
    """

    code: str
    kind: str
    spheres: tuple[str, ...]
    municipality: str | None
    parent: str | None
    name: str
    short_name: str
    pages: dict[str, str]


def load() -> list[Organisation]:
    """Return all organisations; a parent comes before its children."""
    return [
        Organisation(
            row["code"],
            row["kind"],
            tuple(row["spheres"].split(";")),
            row["municipality"] or None,
            row["parent"] or None,
            row["name"],
            row["short_name"],
            {network: row[network] for network in ("vk", "ok") if row[network]},
        )
        for row in package_rows("cli.demo", "region.csv")
    ]
