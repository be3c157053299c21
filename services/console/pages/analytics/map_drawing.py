"""Shapes of the municipalities on the map: borders from GeoJSON become SVG paths, centres become dots."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import cos, radians
from typing import Any

WIDTH = 600
_DOT = 6.0
_SHADES = 4

Position = tuple[float, float]


@dataclass(frozen=True)
class Shape:
    """A municipality on the map: a path or a dot; `shade` is 0 to 4 by its figure."""

    feature: dict[str, Any]
    path: str
    dot: Position | None
    shade: int


@dataclass(frozen=True)
class Drawing:
    """The map."""

    shapes: list[Shape]
    height: float


def draw(features: list[dict[str, Any]], figure: str) -> Drawing | None:
    """Return the map of the features that have borders or a centre; None if there are none."""
    placed = [feature for feature in features if feature["geometry"] is not None]
    positions = [position for feature in placed for ring in _rings(feature["geometry"]) for position in ring]
    if not positions:
        return None
    west, east = min(x for x, _ in positions), max(x for x, _ in positions)
    south, north = min(y for _, y in positions), max(y for _, y in positions)
    # A degree of longitude is shorter than one of latitude: widths are multiplied by this.
    narrow = cos(radians((south + north) / 2))
    scale = (WIDTH - 4 * _DOT) / max((east - west) * narrow, (north - south) / 2, 1e-6)

    def place(position: Position) -> Position:
        x, y = position
        return (
            round(2 * _DOT + (x - west) * narrow * scale, 1),
            round(2 * _DOT + (north - y) * scale, 1),
        )

    most = max(1, *(feature["properties"][figure] for feature in placed))
    shapes = []
    for feature in placed:
        rings = [[place(position) for position in ring] for ring in _rings(feature["geometry"])]
        is_dot = feature["geometry"]["type"] == "Point"
        shade = -(-_SHADES * feature["properties"][figure] // most)
        shapes.append(Shape(feature, "" if is_dot else _path(rings), rings[0][0] if is_dot else None, shade))
    return Drawing(shapes, round((north - south) * scale + 4 * _DOT, 1))


def _rings(geometry: dict[str, Any]) -> Iterator[list[Position]]:
    coordinates = geometry["coordinates"]
    match geometry["type"]:
        case "Point":
            yield [(coordinates[0], coordinates[1])]
        case "Polygon":
            for ring in coordinates:
                yield [(position[0], position[1]) for position in ring]
        case "MultiPolygon":
            for polygon in coordinates:
                for ring in polygon:
                    yield [(position[0], position[1]) for position in ring]


def _path(rings: list[list[Position]]) -> str:
    return "".join("M" + "L".join(f"{x},{y}" for x, y in ring) + "Z" for ring in rings)
