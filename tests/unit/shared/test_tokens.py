"""A token is valid only from the expected issuer, for its audience, and within its lifetime."""

import base64
import json
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import time_machine
from joserfc.jwk import KeySet, OKPKey

from shared.auth import oidc, tokens
from shared.auth.tokens import InvalidToken, Signer

PEOPLE = tokens.new_key("gospablik.1")
APPEALS = tokens.new_key("appeals.1")
KEYS = KeySet([PEOPLE, APPEALS])


class OneKey(oidc.IssuerKeys):
    """The keys of an issuer, available without network access."""

    def __init__(self) -> None:
        """Skip the base class: these keys have no URL."""

    async def containing(self, _kid: str | None) -> KeySet:
        """Return fixed keys."""
        return KEYS


def signed(issuer: str = "appeals", audience: str = "ingest", seconds: int = 60, **claims: object) -> str:
    return Signer(issuer, APPEALS).sign("appeals", audience, timedelta(seconds=seconds), **claims)


def test_valid_token_returns_its_claims() -> None:
    claims = tokens.verify(signed(act="person"), KEYS, audience="ingest")
    assert (claims["sub"], claims["act"]) == ("appeals", "person")


@pytest.mark.parametrize(
    ("token", "audience"),
    [
        (signed(audience="registry"), "ingest"),
        (signed(seconds=-60), "ingest"),
        (signed(issuer="gospablik"), "ingest"),
        (signed().rpartition(".")[0] + "." + "A" * 86, "ingest"),
        ("nonsense", "ingest"),
        ("", "ingest"),
    ],
)
def test_invalid_token_is_refused(token: str, audience: str) -> None:
    with pytest.raises(InvalidToken):
        tokens.verify(token, KEYS, audience=audience)


@pytest.mark.parametrize(
    ("ahead", "lifetime", "accepted"),
    [(50, 60, True), (-50, 60, True), (70, 60, False), (-70, 60, False), (50, -60, False)],
)
def test_token_is_accepted_with_clock_skew_below_a_minute(ahead: int, lifetime: int, accepted: bool) -> None:
    now = datetime(2026, 3, 4, 2, 0, tzinfo=UTC)
    with time_machine.travel(now + timedelta(seconds=ahead), tick=False):
        token = signed(seconds=lifetime)
    with time_machine.travel(now, tick=False), nullcontext() if accepted else pytest.raises(InvalidToken):
        assert tokens.verify(token, KEYS, audience="ingest")["sub"] == "appeals"


def test_cached_token_is_refused_after_its_expiry_and_for_another_audience() -> None:
    verifier = tokens.Verifier(KEYS)
    with time_machine.travel(datetime(2026, 3, 4, 2, 0, tzinfo=UTC), tick=False) as traveller:
        token = signed(seconds=60)
        assert verifier.verify(token, audience="ingest") == verifier.verify(token, audience="ingest")
        with pytest.raises(InvalidToken):
            verifier.verify(token, audience="registry")
        traveller.shift(timedelta(minutes=2))
        with pytest.raises(InvalidToken):
            verifier.verify(token, audience="ingest")


def write_keys(path: Path, *keys: OKPKey) -> None:
    """Replace the file as `prepare` does."""
    (path.parent / "new").write_text(json.dumps(KeySet(list(keys)).as_dict(private=False)))
    (path.parent / "new").replace(path)


def test_token_of_a_new_key_is_accepted_without_a_restart(tmp_path: Path) -> None:
    path, new = tmp_path / "services.jwks", tokens.new_key("appeals.2")
    write_keys(path, PEOPLE, APPEALS)
    keys = tokens.PublicKeys(path)
    verifier = tokens.Verifier(keys)
    token = Signer("appeals", new).sign("appeals", "ingest", timedelta(seconds=60))
    with pytest.raises(InvalidToken):
        verifier.verify(token, audience="ingest")
    write_keys(path, PEOPLE, APPEALS, new)
    assert verifier.verify(token, audience="ingest")["iss"] == "appeals"
    assert verifier.verify(signed(), audience="ingest")["iss"] == "appeals"
    path.unlink()
    with pytest.raises(InvalidToken):
        verifier.verify(Signer("x", tokens.new_key("x.1")).sign("x", "ingest", timedelta(60)), audience="ingest")
    write_keys(path, new)  # the former key has leaked
    assert [key.kid for key in keys.current()] == ["appeals.2"]


def test_unknown_key_is_refused_if_the_key_file_is_removed_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "services.jwks"
    write_keys(path, APPEALS)
    verifier = tokens.Verifier(keys := tokens.PublicKeys(path))
    monkeypatch.setattr(tokens.PublicKeys, "_version_on_disk", lambda _self: (1, 1))
    path.unlink()
    token = Signer("appeals", tokens.new_key("appeals.2")).sign("appeals", "ingest", timedelta(seconds=60))
    with pytest.raises(InvalidToken):
        verifier.verify(token, audience="ingest")
    assert verifier.verify(signed(), audience="ingest")["iss"] == "appeals"
    write_keys(path, tokens.new_key("appeals.3"))
    assert [key.kid for key in keys.current()] == ["appeals.3"]


def test_unknown_key_id_does_not_cause_a_second_read_of_an_unchanged_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "services.jwks"
    write_keys(path, APPEALS)
    verifier = tokens.Verifier(tokens.PublicKeys(path))
    monkeypatch.setattr(tokens, "read_key_set", None)
    token = Signer("appeals", tokens.new_key("appeals.2")).sign("appeals", "ingest", timedelta(seconds=60))
    with pytest.raises(InvalidToken, match="InvalidKeyIdError"):
        verifier.verify(token, audience="ingest")


def test_token_of_an_unknown_key_is_refused() -> None:
    stranger = Signer("appeals", tokens.new_key("appeals.9"))
    with pytest.raises(InvalidToken):
        tokens.verify(stranger.sign("a", "ingest", timedelta(seconds=60)), KEYS, audience="ingest")


def test_unsigned_token_is_refused() -> None:
    def part(value: dict[str, object]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    forged = f"{part({'alg': 'none'})}.{part({'iss': 'appeals', 'sub': 'a', 'aud': 'ingest', 'exp': 9999999999})}."
    with pytest.raises(InvalidToken):
        tokens.verify(forged, KEYS, audience="ingest")


STRANGE = (
    ["alg"],
    "alg",
    1,
    None,
    {"alg": "Ed25519", "crit": 1},
    {"alg": ["Ed25519"]},
    {"alg": "Ed25519", "kid": []},
)


@pytest.mark.parametrize("header", STRANGE, ids=json.dumps)
async def test_malformed_header_is_refused(header: object) -> None:
    encoded = base64.urlsafe_b64encode(json.dumps(header).encode()).decode().rstrip("=")
    token = f"{encoded}.e30.AA"
    with pytest.raises(InvalidToken):
        tokens.verify(token, KEYS, audience="ingest")
    assert oidc.unverified_issuer(token) is None
    with pytest.raises(InvalidToken):
        await oidc.ExternalIssuer("https://sso.example.org", "ingest", "sub", OneKey()).verify(token)
