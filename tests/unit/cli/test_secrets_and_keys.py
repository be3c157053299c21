"""Secrets and signing keys are generated once, in private files, and kept."""

import json
import stat
from datetime import timedelta
from pathlib import Path

import pytest

from cli.atomic_files import write_private
from cli.deployment import signing_keys
from cli.deployment.signing_keys import ensure_keys
from cli.embedded.data_dir import AlreadyRunningError, DataDir
from cli.embedded.secrets import load_secrets
from cli.embedded.settings import API_SERVICES, SERVICES
from shared.auth import tokens


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_secrets_are_generated_once_and_stored_in_a_private_file(tmp_path: Path) -> None:
    first = load_secrets(tmp_path)
    assert load_secrets(tmp_path) == first
    assert set(first.service_passwords) == set(SERVICES)
    assert len({*first.service_passwords.values(), first.owner_password, first.superuser_password}) == 2 + len(
        SERVICES
    )
    assert _mode(tmp_path / "secrets.json") == 0o600


def test_missing_secret_is_added_and_others_are_kept(tmp_path: Path) -> None:
    first = load_secrets(tmp_path)
    path = tmp_path / "secrets.json"
    stored = json.loads(path.read_text())
    del stored["cursor_key"], stored["service_passwords"]["metrics"]
    path.write_text(json.dumps(stored))
    second = load_secrets(tmp_path)
    assert second.owner_password == first.owner_password
    assert second.service_passwords["appeals"] == first.service_passwords["appeals"]
    assert second.cursor_key
    assert second.cursor_key != first.cursor_key
    assert load_secrets(tmp_path) == second


def test_key_of_a_service_signs_only_as_that_service(tmp_path: Path) -> None:
    assert ensure_keys(tmp_path) == [*API_SERVICES, "people"]
    public = tokens.read_key_set(tmp_path / "services.jwks")
    key = tokens.read_key(tmp_path / "appeals.jwk")
    honest = tokens.Signer("appeals", key).sign("appeals", "ingest", timedelta(seconds=60))
    assert tokens.verify(honest, public, audience="ingest")["iss"] == "appeals"
    forged = tokens.Signer("registry", key).sign("registry", "ingest", timedelta(seconds=60))
    with pytest.raises(tokens.InvalidToken):
        tokens.verify(forged, public, audience="ingest")


def test_token_signed_with_the_people_key_verifies_with_its_public_key(tmp_path: Path) -> None:
    ensure_keys(tmp_path)
    signer = tokens.Signer(tokens.PEOPLE_ISSUER, tokens.read_key(tmp_path / "people.jwk"))
    token = signer.sign("someone", tokens.PEOPLE_AUDIENCE, timedelta(seconds=60))
    public = tokens.read_key_set(tmp_path / "people.jwks")
    assert tokens.verify(token, public, audience=tokens.PEOPLE_AUDIENCE)["sub"] == "someone"


def test_private_keys_are_readable_only_by_the_owner_and_not_published(tmp_path: Path) -> None:
    ensure_keys(tmp_path)
    for name in (*API_SERVICES, "people"):
        assert _mode(tmp_path / f"{name}.jwk") == 0o600
    for name in ("services", "people"):
        assert all("d" not in key for key in json.loads((tmp_path / f"{name}.jwks").read_text())["keys"])


def test_each_service_gets_only_its_own_private_key(tmp_path: Path) -> None:
    ensure_keys(tmp_path)
    public = {"services.jwks", "people.jwks"}
    for name in API_SERVICES:
        own = {f"{name}.jwk", "people.jwk"} if name == "registry" else {f"{name}.jwk"}
        assert {path.name for path in (tmp_path / name).iterdir()} == own | public
        for file in own | public:
            assert (tmp_path / name / file).read_text() == (tmp_path / file).read_text()
            assert _mode(tmp_path / name / file) == 0o600
        assert _mode(tmp_path / name) == 0o700


def test_service_gets_its_new_key_after_a_rotation(tmp_path: Path) -> None:
    ensure_keys(tmp_path)
    before = (tmp_path / "ingest" / "ingest.jwk").read_text()
    (tmp_path / "ingest.jwk").unlink()
    ensure_keys(tmp_path)
    assert (tmp_path / "ingest" / "ingest.jwk").read_text() != before
    for name in API_SERVICES:
        # Every service verifies with the new and the old key.
        assert (tmp_path / name / "services.jwks").read_text().count('"ingest.') == 2


def test_every_service_has_the_public_keys_before_one_gets_a_private_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []

    def write(path: Path, text: str) -> None:
        written.append(path.suffix if path.parent != tmp_path else "")
        write_private(path, text)

    monkeypatch.setattr(signing_keys, "write_private", write)
    ensure_keys(tmp_path)
    given = [suffix for suffix in written if suffix]
    assert given == [".jwks"] * 2 * len(API_SERVICES) + [".jwk"] * (len(API_SERVICES) + 1)


def test_old_key_is_accepted_after_a_rotation(tmp_path: Path) -> None:
    ensure_keys(tmp_path)
    former = tokens.Signer("ingest", tokens.read_key(tmp_path / "ingest.jwk"))
    (tmp_path / "ingest.jwk").unlink()
    assert ensure_keys(tmp_path) == ["ingest"]
    assert ensure_keys(tmp_path) == []
    token = former.sign("ingest", "appeals", timedelta(seconds=60))
    assert tokens.verify(token, tokens.read_key_set(tmp_path / "services.jwks"), audience="appeals")


def test_second_run_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    data_dir = DataDir.prepare(tmp_path / "data")
    with data_dir.lock(), pytest.raises(AlreadyRunningError, match="in use by another run"), data_dir.lock():
        pass
    with data_dir.lock():
        pass


def test_permissions_of_parent_folders_are_unchanged(tmp_path: Path) -> None:
    parent = tmp_path / "parent"
    parent.mkdir(mode=0o700)
    data_dir = DataDir.prepare(parent / "data")
    assert _mode(parent) == 0o700
    assert _mode(data_dir.root) == 0o711
    for folder in (data_dir.secrets, data_dir.keys, data_dir.logs, data_dir.run):
        assert _mode(folder) == 0o700


def test_state_file_of_an_earlier_version_is_migrated_once(tmp_path: Path) -> None:
    data_dir = DataDir.prepare(tmp_path)
    former, stale = tmp_path / "embedded.json", tmp_path / "run" / "stack.json"
    former.write_text('{"postgres_home": "first"}')
    stale.write_text("{}")
    with data_dir.lock():
        assert data_dir.load_state() == {"postgres_home": "first"}
        data_dir.save_state(demo="digest")
    assert not former.exists()
    assert not stale.exists()
    former.write_text('{"postgres_home": "second"}')
    with data_dir.lock():
        assert data_dir.load_state() == {"postgres_home": "first", "demo": "digest"}
