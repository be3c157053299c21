"""The npm packages `standardwebhooks` and `svix` accept and refuse our signatures as expected."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine

from services.webhooks.endpoints.signing import signed_headers
from services.webhooks.event_catalogue.catalogue import CATALOGUE
from shared.signing_secrets import SigningSecrets, new_secret
from tests.contract.typescript.conftest import Run

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

VECTORS = Path(__file__).parents[3] / "docs" / "integrator" / "signature-vectors.json"
SENT_AT = datetime(2026, 11, 25, 4, tzinfo=UTC)
EVENT = CATALOGUE["appeal.opened"].example
BODY = json.dumps(EVENT, ensure_ascii=False)
OLD = SigningSecrets(new_secret())
ROTATED = OLD.rotated(SENT_AT - timedelta(hours=1))


def _delivery(
    secret: str, *, body: str = BODY, after: timedelta = timedelta(), signed_after: timedelta = timedelta()
) -> dict[str, Any]:
    """Return a delivery signed during a rotation and the secret of its receiver."""
    signed_at = SENT_AT + signed_after
    with time_machine.travel(signed_at, tick=False):
        headers = signed_headers(EVENT["id"], BODY, ROTATED.active(signed_at))
    received_at = int((signed_at + after).timestamp())
    return {"secret": secret, "headers": headers, "body": body, "received_at": received_at}


CASES = {
    "new secret": (_delivery(ROTATED.current), True),
    "old secret during the rotation": (_delivery(OLD.current), True),
    "old secret after the rotation": (_delivery(OLD.current, signed_after=timedelta(hours=23)), False),
    "changed byte": (_delivery(ROTATED.current, body=BODY.replace("1024", "1025")), False),
    "timestamp at the limit": (_delivery(ROTATED.current, after=timedelta(seconds=300)), True),
    "old timestamp": (_delivery(ROTATED.current, after=timedelta(seconds=301)), False),
    "foreign secret": (_delivery(new_secret()), False),
}


def _verdicts(project: Path, run: Run, deliveries: list[dict[str, Any]]) -> list[dict[str, bool]]:
    (project / "verifiers.json").write_text(json.dumps(deliveries), encoding="utf-8")
    verdicts: list[dict[str, bool]] = json.loads(run("node", "verifiers.cjs"))
    return verdicts


def _both(verdict: bool) -> dict[str, bool]:
    return {"standardwebhooks": verdict, "svix": verdict}


def test_verifiers_accept_only_valid_deliveries_during_a_rotation(project: Path, run: Run) -> None:
    verdicts = _verdicts(project, run, [delivery for delivery, _ in CASES.values()])
    assert dict(zip(CASES, verdicts, strict=True)) == {name: _both(valid) for name, (_, valid) in CASES.items()}


def test_verifiers_agree_with_the_published_vectors(project: Path, run: Run) -> None:
    vectors = json.loads(VECTORS.read_text(encoding="utf-8"))["vectors"]
    received = [
        vector | {"received_at": datetime.fromisoformat(vector["received_at"]).timestamp()} for vector in vectors
    ]
    expected = {vector["name"]: _both(vector["valid"]) for vector in vectors}
    assert dict(zip(expected, _verdicts(project, run, received), strict=True)) == expected
