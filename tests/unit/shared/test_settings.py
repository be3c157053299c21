"""Insecure settings stop the process."""

from pathlib import Path

import pytest
from pydantic import ValidationError
from pydantic_settings import BaseSettings

from cli.embedded.secrets import load_secrets
from services.gateway.settings import GatewaySettings
from services.ingest.settings import IngestSettings
from services.webhooks.settings import WebhooksSettings
from shared.settings import SecretsFolderError, Settings
from tests.support.certificates import make_authority
from tests.unit.ingest.settings_keys import KEYS

KEY = "a-key-of-the-tests-0123"
NEEDED = {"database_url": "postgresql://x", "keys_dir": "/keys", "cursor_key": KEY, "audit_key": KEY}
ISSUER = "https://sso.example.ru/realms/region"


def made(**given: object) -> Settings:
    return Settings.model_validate(NEEDED | given)


def test_issuer_without_an_audience_is_refused() -> None:
    found = made(oidc_issuer=ISSUER, oidc_audience="gospablik")
    assert (found.oidc_issuer, found.oidc_subject_claim, found.password_sign_in) == (ISSUER, "sub", True)
    with pytest.raises(ValidationError, match="oidc_audience"):
        made(oidc_issuer=ISSUER)
    with pytest.raises(ValidationError, match="oidc_audience"):
        made(oidc_issuer=ISSUER, oidc_audience="")


def test_empty_issuer_settings_mean_none() -> None:
    assert made(oidc_issuer="", oidc_audience="", oidc_client_id="").oidc_issuer is None


def test_http_issuer_is_refused_except_in_the_embedded_run() -> None:
    for issuer in ("http://sso.example.ru", "sso.example.ru", "file:///etc/passwd"):
        with pytest.raises(ValidationError, match="https"):
            made(oidc_issuer=issuer, oidc_audience="gospablik")
    assert made(oidc_issuer="http://127.0.0.1:1", oidc_audience="gospablik", environment="embedded").oidc_issuer


def test_clock_is_not_shifted_in_production() -> None:
    with pytest.raises(ValidationError, match="clock_shift_seconds"):
        made(clock_shift_seconds=60)
    assert made(clock_shift_seconds=60, environment="embedded").clock_shift_seconds == 60


@pytest.mark.parametrize("level", ["", "info", "TRACE"])
def test_unknown_log_level_is_refused_and_named(level: str) -> None:
    assert made(log_level="WARNING").log_level == GatewaySettings(log_level="WARNING").log_level == "WARNING"
    with pytest.raises(ValidationError, match="log_level"):
        made(log_level=level)
    with pytest.raises(ValidationError, match="log_level"):
        GatewaySettings.model_validate({"log_level": level})


@pytest.mark.parametrize(("level", "usual"), [("WARN", "WARNING"), ("FATAL", "CRITICAL"), ("NOTSET", "DEBUG")])
def test_other_names_of_log_levels_are_accepted(level: str, usual: str) -> None:
    """They worked before unknown names were refused."""
    assert made(log_level=level).log_level == usual
    assert GatewaySettings.model_validate({"log_level": level}).log_level == usual


WEAK = ["", " ", "k", "x" * 64, "abc" * 30, "short-but-varied-21ch"]


@pytest.mark.parametrize("name", ["cursor_key", "audit_key"])
@pytest.mark.parametrize("weak", WEAK)
def test_weak_key_is_refused_by_every_service(name: str, weak: str) -> None:
    with pytest.raises(ValidationError, match=name) as refused:
        made(**{name: weak})
    assert len(weak) < 2 or weak not in str(refused.value)


@pytest.mark.parametrize("weak", WEAK)
def test_weak_pseudonym_key_is_refused(weak: str) -> None:
    with pytest.raises(ValidationError, match="pseudonym_key"):
        IngestSettings.model_validate(KEYS | {"pseudonym_key": weak})


# Explicit ids: the generated key differs between the test processes.
ONE_IS_WEAK = pytest.param(f"{KEYS['encryption_keys']},x", id="a good key and a weak one")


@pytest.mark.parametrize("weak", [*WEAK, ",", ONE_IS_WEAK, "A" * 43 + "="])
@pytest.mark.parametrize("kind", [IngestSettings, WebhooksSettings])
def test_invalid_encryption_key_is_refused(kind: type[BaseSettings], weak: str) -> None:
    with pytest.raises(ValidationError, match="encryption_keys") as refused:
        kind.model_validate(KEYS | {"encryption_keys": weak})
    assert KEYS["encryption_keys"] not in str(refused.value)


def test_keys_of_the_embedded_run_are_accepted(tmp_path: Path) -> None:
    made_keys = load_secrets(tmp_path)
    found = made(cursor_key=made_keys.cursor_key, audit_key=made_keys.audit_key)
    assert found.cursor_key.get_secret_value() == made_keys.cursor_key
    ingest = IngestSettings.model_validate(
        {
            "pseudonym_key": made_keys.pseudonym_key,
            "encryption_keys": f"{made_keys.encryption_key}, {KEYS['encryption_keys']},",
        }
    )
    newest_first = [made_keys.encryption_key, KEYS["encryption_keys"]]
    assert ingest.encryption_keys.get_secret_value().split(",") == newest_first


def test_ca_bundle_without_certificates_is_refused(tmp_path: Path) -> None:
    authority = make_authority(tmp_path)
    assert made(ca_bundle=str(authority.bundle)).ca_bundle == authority.bundle
    assert made(ca_bundle="").ca_bundle is None
    (tmp_path / "empty.pem").write_text("none\n")
    for name in ("empty.pem", "missing.pem"):
        with pytest.raises(ValidationError, match=f"ca_bundle\n.*no certificates in PEM can be read .*{name}"):
            made(ca_bundle=str(tmp_path / name))


def test_trusted_proxies_accept_addresses_and_networks() -> None:
    found = made(trusted_proxies="10.0.0.5, 10.1.0.0/16,").trusted_proxies
    assert [str(network) for network in found] == ["10.0.0.5/32", "10.1.0.0/16"]
    assert made(trusted_proxies="").trusted_proxies == ()
    with pytest.raises(ValidationError, match="trusted_proxies"):
        made(trusted_proxies="proxy.example.ru")
    # With all addresses trusted, clients could claim any address.
    for everybody in ("0.0.0.0/0", "10.0.0.5, ::/0"):
        with pytest.raises(ValidationError, match=r"trusted_proxies\n.*/0 contains all addresses"):
            made(trusted_proxies=everybody)


def test_secrets_in_files_take_precedence_over_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "GOSPABLIK_CURSOR_KEY").write_text(f"{KEY}-of-a-file\n")
    (tmp_path / "GOSPABLIK_ENCRYPTION_KEYS").write_text(KEYS["encryption_keys"])
    monkeypatch.setenv("GOSPABLIK_SECRETS_DIR", str(tmp_path))
    for name, value in NEEDED.items():
        monkeypatch.setenv(f"GOSPABLIK_{name.upper()}", str(value))
    # Compose passes unset variables as empty ones.
    monkeypatch.setenv("GOSPABLIK_ENCRYPTION_KEYS", "")
    assert Settings().cursor_key.get_secret_value() == f"{KEY}-of-a-file"
    assert Settings().audit_key.get_secret_value() == KEY
    assert WebhooksSettings().encryption_keys.get_secret_value() == KEYS["encryption_keys"]
    monkeypatch.setenv("GOSPABLIK_SECRETS_DIR", "")
    assert Settings().cursor_key.get_secret_value() == KEY
    monkeypatch.setenv("GOSPABLIK_SECRETS_DIR", str(tmp_path / "missing"))
    with pytest.raises(SecretsFolderError, match=r"GOSPABLIK_SECRETS_DIR: .*/missing is not a folder"):
        Settings()
