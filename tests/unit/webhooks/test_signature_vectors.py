"""docs/integrator/signature-vectors.json: the libraries and the documented rule give every verdict."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import standardwebhooks
import svix
import time_machine

from services.webhooks.endpoints.signing import signed_headers

FILE = Path(__file__).parents[3] / "docs" / "integrator" / "signature-vectors.json"
DOCUMENT = json.loads(FILE.read_text(encoding="utf-8"))
VECTORS: list[dict[str, Any]] = DOCUMENT["vectors"]


def _by_hand(secret: str, headers: Mapping[str, str], body: str, now: float) -> bool:
    """Return whether a signature is valid by the rule for verifying without a library in webhooks.md."""
    if abs(now - int(headers["webhook-timestamp"])) > DOCUMENT["tolerance_seconds"]:
        return False
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.{body}".encode()
    ours = "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    return any(hmac.compare_digest(ours, one) for one in headers["webhook-signature"].split(" "))


def _accepts(verify: Callable[..., Any], vector: dict[str, Any]) -> bool:
    try:
        verify(vector["body"], vector["headers"])
    except (standardwebhooks.WebhookVerificationError, svix.WebhookVerificationError):
        return False
    return True


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_libraries_and_the_documented_rule_give_the_verdict_of_the_vector(vector: dict[str, Any]) -> None:
    now = datetime.fromisoformat(vector["received_at"])
    with time_machine.travel(now, tick=False):
        verdicts = {
            _accepts(standardwebhooks.Webhook(vector["secret"]).verify, vector),
            _accepts(svix.Webhook(vector["secret"]).verify, vector),
            _by_hand(vector["secret"], vector["headers"], vector["body"], now.timestamp()),
        }
    assert verdicts == {vector["valid"]}


def test_first_vector_has_the_headers_of_a_sent_delivery() -> None:
    vector = VECTORS[0]
    event_id = json.loads(vector["body"])["id"]
    with time_machine.travel(int(vector["headers"]["webhook-timestamp"]), tick=False):
        assert signed_headers(event_id, vector["body"], [vector["secret"]]) == vector["headers"]


def test_vectors_include_valid_and_invalid_signatures() -> None:
    assert {vector["valid"] for vector in VECTORS} == {True, False}
