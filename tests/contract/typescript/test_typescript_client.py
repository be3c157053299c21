"""Code generated from the merged document compiles, and its schemas accept the examples."""

import json
import re
from pathlib import Path

import pytest
from standardwebhooks import Webhook

from services.webhooks.endpoints.signing import signed_headers
from services.webhooks.event_catalogue.catalogue import CATALOGUE
from services.webhooks.event_catalogue.documentation import DOCUMENT
from shared.signing_secrets import new_secret
from tests.contract.typescript.conftest import Run

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

PARTNERS = Path(__file__).parents[3] / "docs" / "integrator" / "partners.md"
STRICT = ("--strict", "--target", "es2022")
NODE_MODULES = ("--module", "nodenext", "--moduleResolution", "nodenext")
BROWSER = ("--lib", "es2022,dom", "--module", "esnext", "--moduleResolution", "bundler", "--skipLibCheck")


@pytest.fixture(scope="module")
def _types(run: Run) -> None:
    run("npx", "openapi-typescript", "openapi.json", "--output", "api.d.ts", "--default-non-nullable=false")


@pytest.mark.usefixtures("_types")
def test_generated_types_and_their_use_compile_in_strict_mode(run: Run) -> None:
    run("npx", "tsc", *STRICT, *NODE_MODULES, "--noEmit", "client.ts", "api.d.ts")


@pytest.mark.usefixtures("_types")
def test_receiver_in_the_guide_compiles_and_verifies_a_delivery(project: Path, run: Run) -> None:
    (published,) = re.findall(r"```typescript\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    (project / "receiver.ts").write_text(published, encoding="utf-8")
    run("npx", "tsc", *STRICT, *NODE_MODULES, "--outDir", "compiled", "receiver.ts")
    secret, body = new_secret(), json.dumps(CATALOGUE["appeal.opened"].example, ensure_ascii=False)
    headers = signed_headers(CATALOGUE["appeal.opened"].example["id"], body, [secret])
    printed = json.loads(
        run("node", "receive.cjs", json.dumps({"secret": secret, "headers": headers, "body": body}))
    )
    assert printed["described"].startswith("appeal 1024 is assigned: Когда починят дорогу")
    assert printed["changed"] == "WebhookVerificationError"
    assert printed["response"] == {"status": 204, "body": ""}
    example = CATALOGUE["webhook.verification"].example
    body = json.dumps(example)
    headers = signed_headers(example["id"], body, [secret])
    printed = json.loads(
        run("node", "receive.cjs", json.dumps({"secret": secret, "headers": headers, "body": body}))
    )
    assert printed["response"] == {"status": 200, "body": example["data"]["challenge"]}


def test_sender_in_the_partners_guide_compiles_and_signs(project: Path, run: Run) -> None:
    (published,) = re.findall(r"```typescript\n(.*?)```", PARTNERS.read_text(encoding="utf-8"), re.DOTALL)
    (project / "sender.ts").write_text(published, encoding="utf-8")
    run("npx", "tsc", *STRICT, *NODE_MODULES, "--lib", "es2022,dom", "--outDir", "compiled", "sender.ts")
    secret, body = new_secret(), json.dumps({"type": "appeal.status", "data": {"note": "Готово"}})
    given = json.dumps([secret, "evt_1", body])
    script = (
        f"import('./compiled/sender.js').then((found) => found.signedHeaders(...{given}))"
        ".then((headers) => console.log(JSON.stringify(headers)))"
    )
    headers = json.loads(run("node", "-e", script))
    assert Webhook(secret).verify(body, headers)["type"] == "appeal.status"


def test_generated_functions_compile_in_strict_mode(project: Path, run: Run) -> None:
    run("npx", "orval", "--input", "./openapi.json", "--output", "./functions.ts", "--client", "fetch")
    run("npx", "tsc", *STRICT, *BROWSER, "--noEmit", "functions.ts")
    written = (project / "functions.ts").read_text(encoding="utf-8")
    assert "export const listAppeals = async" in written


def test_ajv_compiles_every_schema_and_accepts_every_example(run: Run) -> None:
    run("node", "examples.cjs")
