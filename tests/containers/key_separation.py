"""The key files of one container can sign only tokens of its own service."""

import json
from pathlib import Path

from tests.containers.engine import StepFailedError
from tests.containers.installation import SERVICES, Installation

_PROGRAM = Path(__file__).with_name("forge_tokens.py")
_OWN_KEYS = {name: {f"{name}.jwk"} for name in SERVICES} | {"registry": {"registry.jwk", "people.jwk"}}


def keys(installation: Installation) -> str:
    """In each container, sign with its keys: forged tokens must be refused and its own tokens accepted."""
    refused = accepted = 0
    containers = [*SERVICES, *(f"{name}-worker" for name in SERVICES), "console", "gateway-service"]
    for container in containers:
        service = container.removesuffix("-worker")
        line = f"docker compose exec -T {container} python - {service}"
        found = json.loads(installation.command(f"{line} <<'END'\n{_PROGRAM.read_text(encoding='utf-8')}\nEND"))
        if set(found["private_keys"]) != _OWN_KEYS.get(service, set()):
            raise StepFailedError(f"{container} has the private keys {found['private_keys']}")
        for attempt in found["attempts"]:
            expected = (401, 403) if attempt["forged"] else (200, 201, 404, 422)
            if attempt["status"] not in expected:
                raise StepFailedError(f"{container}: {attempt}; expected one of {expected}")
            refused, accepted = refused + attempt["forged"], accepted + (not attempt["forged"])
    return f"from {len(containers)} containers {refused} forged tokens refused, {accepted} of their own accepted"
