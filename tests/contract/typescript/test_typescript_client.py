"""A strict TypeScript compiler accepts the types that openapi-typescript makes, and a client that uses them."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.merged_document import merged_document

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

PACKAGES = ("openapi-typescript@7.13.0", "typescript@5.9.3")
STRICT = ("--strict", "--noEmit", "--target", "es2022", "--module", "nodenext", "--moduleResolution", "nodenext")


def run(folder: Path, *command: str) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-8_000:]}{done.stderr[-4_000:]}"


def test_strict_typescript_accepts_a_client_of_the_merged_document(tmp_path: Path) -> None:
    npm, npx = shutil.which("npm"), shutil.which("npx")
    if npm is None or npx is None:
        pytest.skip("Node.js with npm is not installed: the TypeScript client is not checked")
    (tmp_path / "openapi.json").write_text(json.dumps(merged_document()), encoding="utf-8")
    (tmp_path / "package.json").write_text('{"private": true}', encoding="utf-8")
    shutil.copy(Path(__file__).with_name("client.ts"), tmp_path)
    run(tmp_path, npm, "install", "--no-audit", "--no-fund", "--no-package-lock", *PACKAGES)
    run(
        tmp_path, npx, "openapi-typescript", "openapi.json", "--output", "api.d.ts", "--default-non-nullable=false"
    )
    run(tmp_path, npx, "tsc", *STRICT, "client.ts", "api.d.ts")
