"""Settings that would open the system to strangers stop the process."""

import pytest
from pydantic import ValidationError

from shared.settings import Settings

NEEDED = {"database_url": "postgresql://x", "keys_dir": "/keys", "cursor_key": "k", "audit_key": "k"}
ISSUER = "https://sso.example.ru/realms/region"


def made(**given: object) -> Settings:
    return Settings.model_validate(NEEDED | given)


def test_an_issuer_is_named_with_its_audience() -> None:
    found = made(oidc_issuer=ISSUER, oidc_audience="gospablik")
    assert (found.oidc_issuer, found.oidc_subject_claim, found.password_sign_in) == (ISSUER, "sub", True)
    with pytest.raises(ValidationError, match="oidc_audience"):
        made(oidc_issuer=ISSUER)
    with pytest.raises(ValidationError, match="oidc_audience"):
        made(oidc_issuer=ISSUER, oidc_audience="")


def test_empty_settings_name_no_issuer() -> None:
    assert made(oidc_issuer="", oidc_audience="", oidc_client_id="").oidc_issuer is None


def test_an_issuer_is_asked_over_https() -> None:
    for issuer in ("http://sso.example.ru", "sso.example.ru", "file:///etc/passwd"):
        with pytest.raises(ValidationError, match="https"):
            made(oidc_issuer=issuer, oidc_audience="gospablik")
    assert made(oidc_issuer="http://127.0.0.1:1", oidc_audience="gospablik", environment="embedded").oidc_issuer
