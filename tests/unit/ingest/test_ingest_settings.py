"""Settings of ingest that are read from JSON."""

import pytest
from pydantic import ValidationError

from services.ingest.settings import IngestSettings
from tests.unit.ingest.settings_keys import KEYS


@pytest.mark.parametrize(("text", "albums"), [("", {}), ("{}", {}), ('{"57": "8"}', {"57": "8"})])
def test_albums_are_read_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, text: str, albums: dict[str, str]
) -> None:
    monkeypatch.setenv("GOSPABLIK_OK_PHOTO_ALBUMS", text)
    assert IngestSettings(**KEYS).ok_photo_albums == albums


@pytest.mark.parametrize("text", ["57:8", "[]", '{"57": 8}'])
def test_invalid_albums_are_refused_by_name(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("GOSPABLIK_OK_PHOTO_ALBUMS", text)
    with pytest.raises(ValidationError, match="ok_photo_albums"):
        IngestSettings(**KEYS)
