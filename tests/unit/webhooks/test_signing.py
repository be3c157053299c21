"""Secrets and signatures, checked by independent libraries."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
import standardwebhooks
import svix
from cryptography.fernet import Fernet
from pydantic import SecretStr
from standardwebhooks.webhooks import WebhookVerificationError

from services.webhooks.endpoints.signing import signed_headers
from shared.signing_secrets import (
    ROTATION_OVERLAP,
    SecretCipher,
    SigningSecrets,
    UndecryptableSecret,
    new_secret,
)

BODY = '{"type":"appeal.opened","data":{"organisation":{"name":"Школа № 1"}}}'
NOW = datetime(2026, 11, 25, 4, tzinfo=UTC)


def test_signature_is_accepted_by_both_libraries() -> None:
    secret = new_secret()
    headers = signed_headers(uuid4(), BODY, [secret])
    assert standardwebhooks.Webhook(secret).verify(BODY, headers)["type"] == "appeal.opened"
    svix.Webhook(secret).verify(BODY, headers)  # raises unless the signature is valid


def test_signature_of_changed_body_id_or_secret_is_refused() -> None:
    secret = new_secret()
    headers = signed_headers(uuid4(), BODY, [secret])
    for body, changed, key in (
        (BODY + " ", headers, secret),
        (BODY, headers | {"webhook-id": str(uuid4())}, secret),
        (BODY, headers, new_secret()),
    ):
        with pytest.raises(WebhookVerificationError):
            standardwebhooks.Webhook(key).verify(body, changed)
        with pytest.raises(svix.WebhookVerificationError):
            svix.Webhook(key).verify(body, changed)


def test_both_secrets_verify_for_a_day_after_rotation() -> None:
    old = SigningSecrets(new_secret())
    rotated = old.rotated(NOW)
    headers = signed_headers(uuid4(), BODY, rotated.active(NOW + ROTATION_OVERLAP - timedelta(seconds=1)))
    for secret in (old.current, rotated.current):
        standardwebhooks.Webhook(secret).verify(BODY, headers)
        svix.Webhook(secret).verify(BODY, headers)
    assert rotated.active(NOW + ROTATION_OVERLAP) == [rotated.current]
    assert rotated.current != old.current


def test_old_secret_is_kept_for_the_requested_time() -> None:
    old, week = SigningSecrets(new_secret()), timedelta(days=7)
    rotated = old.rotated(NOW, week)
    assert rotated.active(NOW + week - timedelta(seconds=1)) == [rotated.current, old.current]
    assert rotated.active(NOW + week) == [rotated.current]
    replaced = old.rotated(NOW, timedelta(0))
    assert (replaced.active(NOW), replaced.previous) == ([replaced.current], None)


def test_secret_encrypted_with_an_older_key_is_decrypted() -> None:
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    value = SigningSecrets(new_secret()).rotated(NOW)
    sealed = SecretCipher(SecretStr(old)).encrypt(value)
    assert value.current.encode() not in sealed
    assert SecretCipher(SecretStr(f"{new}, {old}")).decrypt(sealed) == value
    with pytest.raises(UndecryptableSecret):
        SecretCipher(SecretStr(new)).decrypt(sealed)
