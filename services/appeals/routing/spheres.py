"""Spheres: the fields of work of an organisation, compared with the topic of an appeal. The registry stores
spheres as people write them. `reference/spheres.csv` gives each sphere a code, its other names, and the topics and
topic groups (by code) that belong to it.
"""

from collections.abc import Iterable, Mapping
from functools import cache

from shared.tabular.reader import package_rows
from shared.text.normalize import fold_name

# Spheres of bodies that are in charge of a whole territory.
_GENERAL = frozenset({"local-government", "government"})


@cache
def _rows() -> tuple[dict[str, str], ...]:
    return tuple(package_rows("services.appeals.routing.reference", "spheres.csv"))


@cache
def _codes_by_name() -> Mapping[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for row in _rows():
        for name in (row["name"], *row["other_names"].split(";")):
            if name:
                found.setdefault(fold_name(name), set()).add(row["code"])
    return {name: frozenset(codes) for name, codes in found.items()}


@cache
def _codes_by_topic() -> Mapping[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for row in _rows():
        for topic in row["topics"].split(";"):
            if topic:
                found.setdefault(topic, []).append(row["code"])
    return {topic: tuple(codes) for topic, codes in found.items()}


@cache
def spheres_of_topic(code: str) -> frozenset[str]:
    """Return all spheres of a topic or group, given by its code, including the spheres of its group."""
    group = code.partition(".")[0]
    return frozenset({*_codes_by_topic().get(code, ()), *_codes_by_topic().get(group, ())})


def closest_spheres(code: str) -> tuple[str, ...]:
    """Return a topic's own spheres, or the spheres of its group if it has none."""
    return _codes_by_topic().get(code) or _codes_by_topic().get(code.partition(".")[0], ())


def sphere_codes(names: Iterable[str | None]) -> frozenset[str]:
    """Return the codes of spheres written as in a registry; for a sphere without a code, its folded name."""
    folded = [fold_name(name) for name in names if name]
    return frozenset(code for name in folded for code in _codes_by_name().get(name, frozenset({name})))


def is_sectoral(codes: frozenset[str]) -> bool:
    """Return whether a body with these spheres is in charge of certain matters and not of a territory."""
    return bool(codes) and codes.isdisjoint(_GENERAL)
