"""The region's map file: borders or centres of municipalities, and their population, by OKTMO code.

Docs: docs/moderator/analytics.md.
"""

from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from services.metrics.settings import metrics_settings

# Limited because every response of the map contains the whole file.
MAX_FILE_BYTES = 1024 * 1024
# The bounds of Russia, to detect coordinates in metres, or latitude before longitude.
_LATITUDES = (41.0, 82.0)
_LONGITUDES = ((19.0, 180.0), (-180.0, -168.0))


def _validate_position(position: list[float]) -> list[float]:
    longitude, latitude = position[:2]
    is_inside = _LATITUDES[0] <= latitude <= _LATITUDES[1] and any(
        west <= longitude <= east for west, east in _LONGITUDES
    )
    if not is_inside:
        raise ValueError("must be the longitude and latitude of a point in Russia, in degrees")
    return position


def _validate_ring(ring: list[list[float]]) -> list[list[float]]:
    if ring[0] != ring[-1]:
        raise ValueError("the last position of a ring must equal the first")
    return ring


Position = Annotated[list[FiniteFloat], Field(min_length=2, max_length=3), AfterValidator(_validate_position)]
Ring = Annotated[list[Position], Field(min_length=4), AfterValidator(_validate_ring)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True)


class PointGeometry(_Part):
    """The centre of a municipality."""

    type: Literal["Point"]
    coordinates: Position


class PolygonGeometry(_Part):
    """A border: the outer ring, then the holes."""

    type: Literal["Polygon"]
    coordinates: list[Ring]


class MultiPolygonGeometry(_Part):
    """A border of several polygons."""

    type: Literal["MultiPolygon"]
    coordinates: list[list[Ring]]


class _Properties(_Part):
    oktmo: str = Field(pattern=r"^\d{8}$")
    population: int | None = Field(default=None, gt=0)


class _Feature(_Part):
    type: Literal["Feature"]
    geometry: Annotated[PointGeometry | PolygonGeometry | MultiPolygonGeometry, Field(discriminator="type")] | None
    properties: _Properties


class _Collection(_Part):
    type: Literal["FeatureCollection"]
    features: list[_Feature]


class MapFileError(ValueError):
    """The map file cannot be used; the message says why."""


class MapFile:
    """Geometry and population of municipalities by OKTMO code."""

    def __init__(self, collection: _Collection | None = None) -> None:
        features = [] if collection is None else collection.features
        self._population = {one.properties.oktmo: one.properties.population for one in features}
        if len(self._population) < len(features):
            raise MapFileError("two features have the same OKTMO code")
        self._geometry = {one.properties.oktmo: one.geometry.model_dump() for one in features if one.geometry}

    @property
    def codes(self) -> frozenset[str]:
        """Return the OKTMO codes of the features."""
        return frozenset(self._population)

    def geometry(self, oktmo: str) -> dict[str, Any] | None:
        """Return the geometry of a municipality as GeoJSON, None if the file has none."""
        return self._geometry.get(oktmo)

    def population(self, oktmo: str) -> int | None:
        """Return the number of inhabitants of a municipality, None if the file does not have it."""
        return self._population.get(oktmo)


def read_map_file(path: Path) -> MapFile:
    """Return the map in a file. Raises `MapFileError` with the error and its position."""
    try:
        if (size := path.stat().st_size) > MAX_FILE_BYTES:
            raise MapFileError(f"{path} has {size:,} bytes, more than {MAX_FILE_BYTES:,}: simplify the borders")
        return MapFile(_Collection.model_validate_json(path.read_bytes()))
    except OSError as error:
        raise MapFileError(f"{path} cannot be read: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = "/".join(str(part) for part in first["loc"])
        raise MapFileError(f"{path} is not a GeoJSON map: /{where}: {first['msg']}") from error


@lru_cache
def configured_map() -> MapFile:
    """Return the map file of the settings, read once per process; an empty map if none is configured."""
    path = metrics_settings().map_file
    return MapFile() if path is None else read_map_file(path)
