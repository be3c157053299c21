"""The region's own map file: borders or centres of municipalities, and their population, by OKTMO code.

Docs: docs/moderator/analytics.md.
"""

from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.metrics.settings import metrics_settings

# Of the whole region: each response holds it.
MAX_FILE_BYTES = 5 * 1024 * 1024

Position = Annotated[list[float], Field(min_length=2, max_length=3)]
Ring = Annotated[list[Position], Field(min_length=4)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True)


class PointGeometry(_Part):
    """A centre."""

    type: Literal["Point"]
    coordinates: Position


class PolygonGeometry(_Part):
    """A border: the outer ring, then holes."""

    type: Literal["Polygon"]
    coordinates: list[Ring]


class MultiPolygonGeometry(_Part):
    """Borders of several parts."""

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
    """The map file cannot be used; the text says why."""


class MapFile:
    """Geometry and population by OKTMO code."""

    def __init__(self, collection: _Collection | None = None) -> None:
        features = [] if collection is None else collection.features
        self._by_oktmo = {feature.properties.oktmo: feature for feature in features}
        if len(self._by_oktmo) < len(features):
            raise MapFileError("two features have the same OKTMO code")

    def geometry(self, oktmo: str) -> dict[str, Any] | None:
        """Return the geometry of a municipality as GeoJSON, None if the file has none."""
        found = self._by_oktmo.get(oktmo)
        return None if found is None or found.geometry is None else found.geometry.model_dump()

    def population(self, oktmo: str) -> int | None:
        """Return how many inhabitants a municipality has, None if the file does not say."""
        found = self._by_oktmo.get(oktmo)
        return None if found is None else found.properties.population


def read_map_file(path: Path) -> MapFile:
    """Return the map of a file. Raise `MapFileError` that names what is wrong."""
    try:
        if (size := path.stat().st_size) > MAX_FILE_BYTES:
            raise MapFileError(f"{path} has {size:,} bytes, more than {MAX_FILE_BYTES:,}: simplify the borders")
        return MapFile(_Collection.model_validate_json(path.read_bytes()))
    except OSError as error:
        raise MapFileError(f"{path} cannot be read: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = "/".join(str(part) for part in first["loc"])
        raise MapFileError(f"{path} is not a GeoJSON map, at /{where}: {first['msg']}") from error


@lru_cache
def configured_map() -> MapFile:
    """Return the map that the settings name, read once; an empty one if they name none."""
    path = metrics_settings().map_file
    return MapFile() if path is None else read_map_file(path)
