"""Secrets and signing keys are made once, kept private, and never lost."""

import json
import stat
from datetime import timedelta
from pathlib import Path

import pytest

from cli.deployment.signing_keys import ensure_keys
from cli.embedded.data_dir import AlreadyRunningError, Layout
from cli.embedded.secrets import load_secrets
from cli.embedded.settings import SERVICES
from shared.auth import tokens


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_secrets_are_made_once_and_private(tmp_path: Path) -> None:
    first = load_secrets(tmp_path)
    assert load_secrets(tmp_path) == first
    assert set(first.service_passwords) == set(SERVICES)
    assert len({*first.service_passwords.values(), first.owner_password, first.superuser_password}) == 7
    assert _mode(tmp_path / "secrets.json") == 0o600


def test_a_secret_that_is_missing_is_added_and_the_others_stay(tmp_path: Path) -> None:
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


def test_each_service_signs_as_itself_only(tmp_path: Path) -> None:
    assert ensure_keys(tmp_path) == [*SERVICES, "people"]
    public = tokens.read_key_set(tmp_path / "services.jwks")
    key = tokens.read_key(tmp_path / "appeals.jwk")
    honest = tokens.Signer("appeals", key).sign("appeals", "ingest", timedelta(seconds=60))
    assert tokens.verify(honest, public, audience="ingest")["iss"] == "appeals"
    forged = tokens.Signer("registry", key).sign("registry", "ingest", timedelta(seconds=60))
    with pytest.raises(tokens.BadToken):
        tokens.verify(forged, public, audience="ingest")


def test_people_are_signed_for_by_the_issuer(tmp_path: Path) -> None:
    ensure_keys(tmp_path)
    signer = tokens.Signer(tokens.PEOPLE_ISSUER, tokens.read_key(tmp_path / "people.jwk"))
    token = signer.sign("someone", tokens.PEOPLE_AUDIENCE, timedelta(seconds=60))
    public = tokens.read_key_set(tmp_path / "people.jwks")
    assert tokens.verify(token, public, audience=tokens.PEOPLE_AUDIENCE)["sub"] == "someone"


def test_private_keys_are_private_and_absent_from_the_public_sets(tmp_path: Path) -> None:
    ensure_keys(tmp_path)
    for name in (*SERVICES, "people"):
        assert _mode(tmp_path / f"{name}.jwk") == 0o600
    for name in ("services", "people"):
        assert all("d" not in key for key in json.loads((tmp_path / f"{name}.jwks").read_text())["keys"])


def test_a_changed_key_leaves_the_former_one_accepted(tmp_path: Path) -> None:
    ensure_keys(tmp_path)
    former = tokens.Signer("ingest", tokens.read_key(tmp_path / "ingest.jwk"))
    (tmp_path / "ingest.jwk").unlink()
    assert ensure_keys(tmp_path) == ["ingest"]
    assert ensure_keys(tmp_path) == []
    token = former.sign("ingest", "appeals", timedelta(seconds=60))
    assert tokens.verify(token, tokens.read_key_set(tmp_path / "services.jwks"), audience="appeals")


def test_the_lock_keeps_a_second_run_out(tmp_path: Path) -> None:
    layout = Layout.prepare(tmp_path / "data")
    with layout.lock(), pytest.raises(AlreadyRunningError, match="in use by another run"), layout.lock():
        pass
    with layout.lock():
        pass


def test_no_parent_folder_changes_its_rights(tmp_path: Path) -> None:
    parent = tmp_path / "parent"
    parent.mkdir(mode=0o700)
    layout = Layout.prepare(parent / "data")
    assert _mode(parent) == 0o700
    assert _mode(layout.root) == 0o711
    for folder in (layout.secrets, layout.keys, layout.logs, layout.run):
        assert _mode(folder) == 0o700
