"""The region's map file: the values read from it, and errors for invalid files."""

import json
from pathlib import Path
from typing import Any

import pytest

from services.metrics.analytics import map_file
from services.metrics.analytics.map_file import MapFileError, configured_map, read_map_file
from services.metrics.app import build_service
from services.metrics.settings import metrics_settings
from shared.service import Process

BORDER: dict[str, Any] = {
    "type": "Polygon",
    "coordinates": [[[107.0, 51.0], [108.0, 51.0], [108.0, 52.0], [107.0, 51.0]]],
}


def feature(oktmo: str = "81624000", geometry: Any = BORDER, **properties: Any) -> dict[str, Any]:
    return {"type": "Feature", "geometry": geometry, "properties": {"oktmo": oktmo, "name": "Район"} | properties}


def written(folder: Path, *features: dict[str, Any]) -> Path:
    file = folder / "map.geojson"
    file.write_text(json.dumps({"type": "FeatureCollection", "features": features}), encoding="utf-8")
    return file


def test_geometry_and_population_are_read_by_oktmo(tmp_path: Path) -> None:
    read = read_map_file(written(tmp_path, feature(population=52_300), feature("81701000", None)))
    assert (read.geometry("81624000"), read.population("81624000")) == (BORDER, 52_300)
    assert (read.geometry("81701000"), read.population("81701000")) == (None, None)
    assert read.geometry("81999000") is None


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ([feature("816")], "/features/0/properties/oktmo"),
        ([feature(population=0)], "/features/0/properties/population"),
        ([feature(geometry={"type": "LineString", "coordinates": []})], "/features/0/geometry"),
        (
            [feature(geometry={"type": "Polygon", "coordinates": [[[107, 51], [107, 51]]]})],
            "/features/0/geometry/Polygon",
        ),
        ([feature(geometry={"type": "Point", "coordinates": [float("nan"), 52.0]})], "finite number"),
        # Latitude first, metres, and a ring that is not closed.
        ([feature(geometry={"type": "Point", "coordinates": [51.8, 107.6]})], "longitude and latitude"),
        ([feature(geometry={"type": "Point", "coordinates": [11_977_000.0, 6_760_000.0]})], "in degrees"),
        (
            [feature(geometry=BORDER | {"coordinates": [[*BORDER["coordinates"][0][:3], [107.0, 51.5]]]})],
            "must equal the first",
        ),
        ([feature(), feature()], "two features have the same OKTMO code"),
    ],
)
def test_invalid_feature_is_refused_with_its_pointer(tmp_path: Path, features: list[Any], message: str) -> None:
    with pytest.raises(MapFileError, match=message):
        read_map_file(written(tmp_path, *features))


def test_missing_and_too_large_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MapFileError, match="cannot be read"):
        read_map_file(tmp_path / "absent.geojson")
    monkeypatch.setattr(map_file, "MAX_FILE_BYTES", 10)
    with pytest.raises(MapFileError, match="simplify the borders"):
        read_map_file(written(tmp_path, feature()))


async def test_unreadable_map_file_stops_only_processes_with_an_api(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics_settings(), "map_file", tmp_path / "absent.geojson")
    configured_map.cache_clear()
    serving: tuple[Process, ...] = ("api", "all")
    for process in serving:
        with pytest.raises(MapFileError):
            async with build_service().running(process):
                pass
    async with build_service().running("worker"):
        pass
