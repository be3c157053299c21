"""Verification of partners' messages: the published vectors, and every way in which a message can be wrong."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook
from starlette.datastructures import Headers

from services.appeals.partners.message_signature import NotVerified, SignedMessage
from shared.signing_secrets import SigningSecrets, new_secret

VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[3] / "docs" / "integrator" / "signature-vectors.json").read_text(encoding="utf-8")
)["vectors"]
NOW = datetime(2026, 11, 25, 4, tzinfo=UTC)
SECRET = new_secret()
BODY = '{"type":"appeal.status","data":{"external_id":"17","status":"done","note":"Готово"}}'
ID = "evt_1"


def _signed(secret: str = SECRET, *, webhook_id: str = ID, body: str = BODY, at: datetime = NOW) -> str:
    signature: str = Webhook(secret).sign(webhook_id, at, body)
    return signature


def _headers(**changed: str | None) -> list[tuple[bytes, bytes]]:
    given = {"webhook_id": ID, "webhook_timestamp": str(int(NOW.timestamp())), "webhook_signature": _signed()}
    return [
        (name.replace("_", "-").encode(), value.encode("latin-1"))
        for name, value in (given | changed).items()
        if value is not None
    ]


def defect_of(
    headers: list[tuple[bytes, bytes]],
    body: bytes = BODY.encode(),
    secrets: list[str] | None = None,
    now: datetime = NOW,
) -> str | None:
    """Return why a message is refused; None if it is accepted."""
    try:
        SignedMessage.read(Headers(raw=headers), body).verify(secrets or [SECRET], now)
    except NotVerified as refused:
        return refused.defect
    return None


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_published_vector_is_accepted_or_refused_as_documented(vector: dict[str, Any]) -> None:
    headers = [(name.encode(), value.encode()) for name, value in vector["headers"].items()]
    now = datetime.fromisoformat(vector["received_at"])
    assert (defect_of(headers, vector["body"].encode(), [vector["secret"]], now) is None) == vector["valid"]


ACCEPTED: dict[str, list[tuple[bytes, bytes]]] = {
    "signed": _headers(),
    "several signatures, the last is right": _headers(
        webhook_signature=f"{_signed(new_secret())} v1a,{'A' * 88} {_signed()}"
    ),
    "the right one before one of another version": _headers(webhook_signature=f"{_signed()} v2,AAAA"),
    "empty parts between signatures": _headers(webhook_signature=f" {_signed()}  "),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_signed_message_is_accepted(name: str) -> None:
    assert defect_of(ACCEPTED[name]) is None


_DOUBLED = _headers()
REFUSED: dict[str, tuple[list[tuple[bytes, bytes]], str]] = {
    "foreign secret": (_headers(webhook_signature=_signed(new_secret())), "signature"),
    "signature of another body": (_headers(webhook_signature=_signed(body=BODY + " ")), "signature"),
    "signature of another id": (_headers(webhook_id="evt_2"), "signature"),
    "signature of another time": (
        _headers(webhook_timestamp=str(int(NOW.timestamp()) + 1)),
        "signature",
    ),
    "one letter of the signature changed": (
        _headers(webhook_signature=_signed()[:-2] + ("A" if _signed()[-2] != "A" else "B") + "="),
        "signature",
    ),
    "only another version": (_headers(webhook_signature=_signed().replace("v1,", "v2,")), "signature"),
    "asymmetric version": (_headers(webhook_signature=_signed().replace("v1,", "v1a,")), "signature"),
    "no version": (_headers(webhook_signature=_signed().removeprefix("v1,")), "signature"),
    "empty signature": (_headers(webhook_signature="v1,"), "signature"),
    "letters that are not ASCII": (_headers(webhook_signature="v1,é"), "signature"),
    "signatures separated by commas": (_headers(webhook_signature=f"{_signed()},{_signed()}"), "signature"),
    "id missing": (_headers(webhook_id=None), "headers"),
    "timestamp missing": (_headers(webhook_timestamp=None), "headers"),
    "signature missing": (_headers(webhook_signature=None), "headers"),
    "id twice": ([*_DOUBLED, (b"webhook-id", ID.encode())], "headers"),
    "timestamp twice": ([*_DOUBLED, (b"webhook-timestamp", b"1")], "headers"),
    "signature twice": ([*_DOUBLED, (b"webhook-signature", _signed().encode())], "headers"),
    "empty id": (_headers(webhook_id=""), "headers"),
    "id with a space": (_headers(webhook_id="a b"), "headers"),
    "id that is too long": (_headers(webhook_id="a" * 201), "headers"),
    "timestamp with a fraction": (_headers(webhook_timestamp="1795579200.5"), "headers"),
    "negative timestamp": (_headers(webhook_timestamp="-1795579200"), "headers"),
    "timestamp in other digits": (_headers(webhook_timestamp="²"), "headers"),
    "huge timestamp": (_headers(webhook_timestamp="9" * 4_000), "headers"),
    "huge signature header": (_headers(webhook_signature=f"{_signed()} " + "v1,AAAA " * 1_000), "headers"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_wrong_message_is_refused(name: str) -> None:
    headers, defect = REFUSED[name]
    assert defect_of(headers) == defect


@pytest.mark.parametrize("position", [0, len(BODY) // 2, len(BODY.encode()) - 1])
def test_message_with_a_changed_byte_is_refused(position: int) -> None:
    body = bytearray(BODY.encode())
    body[position] ^= 1
    assert defect_of(_headers(), bytes(body)) == "signature"


@pytest.mark.parametrize(
    ("late", "defect"), [(-301, "timestamp"), (-300, None), (0, None), (300, None), (301, "timestamp")]
)
def test_time_of_a_message_may_differ_by_five_minutes(late: int, defect: str | None) -> None:
    assert defect_of(_headers(), now=NOW + timedelta(seconds=late)) == defect


def test_both_secrets_are_valid_during_a_rotation_and_only_the_new_one_afterwards() -> None:
    rotated = SigningSecrets(SECRET).rotated(NOW)
    by_old, by_new = _headers(), _headers(webhook_signature=_signed(rotated.current))
    for after, expected in ((timedelta(hours=23), None), (timedelta(hours=24), "signature")):
        secrets = rotated.active(NOW + after)
        assert defect_of(by_old, secrets=secrets) == expected
        assert defect_of(by_new, secrets=secrets) is None
