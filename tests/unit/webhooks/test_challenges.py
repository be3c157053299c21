"""Which responses to a challenge verify an endpoint."""

import json

import pytest

from services.webhooks.endpoints.verification import repeats_challenge
from services.webhooks.event_catalogue.catalogue import CATALOGUE, mask_personal_data

CHALLENGE = "J8vS0m1yq3nT5wXzB7dF9hKjL2pQ4rUaCeGiMoNkVbY"


@pytest.mark.parametrize(
    "body",
    [
        CHALLENGE,
        f" {CHALLENGE}\r\n",
        json.dumps(CHALLENGE),
        json.dumps({"challenge": CHALLENGE}),
        json.dumps({"ok": True, "challenge": CHALLENGE}, indent=2),
    ],
)
def test_response_with_the_challenge_verifies(body: str) -> None:
    assert repeats_challenge(body.encode(), CHALLENGE)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"ok",
        b"\xff\xfe",
        CHALLENGE[:-1].encode(),
        CHALLENGE.lower().encode(),
        f"you sent {CHALLENGE}".encode(),
        json.dumps({"challenge": [CHALLENGE]}).encode(),
        json.dumps([CHALLENGE]).encode(),
        # A server that returns whatever it receives.
        json.dumps({"type": "webhook.verification", "data": {"challenge": CHALLENGE}}).encode(),
        json.dumps({"json": {"data": {"challenge": CHALLENGE}}}).encode(),
        b"[" * 1_024,
        b"{" * 1_024,
    ],
)
def test_response_that_is_not_exactly_the_challenge_does_not_verify(body: bytes) -> None:
    assert not repeats_challenge(body, CHALLENGE)


def test_masking_does_not_change_a_challenge() -> None:
    for challenge in (CHALLENGE, "89241234567-Мария", "a@b.ru 4276 1234 5678 9010"):
        data = CATALOGUE["webhook.verification"].example["data"] | {"challenge": challenge}
        assert mask_personal_data(data) == data
