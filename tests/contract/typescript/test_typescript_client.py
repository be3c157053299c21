"""Code generated from the merged document compiles, and its schemas accept the examples."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.merged_document import merged_document

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

HERE = Path(__file__).parent
PACKAGES = ("openapi-typescript@7.13.0", "orval@7.13.2", "typescript@5.9.3", "ajv@8.20.0", "ajv-formats@3.0.1")
UNREACHABLE = ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ETIMEDOUT", "ECONNRESET")
STRICT = ("--strict", "--noEmit", "--target", "es2022")
NODE_MODULES = ("--module", "nodenext", "--moduleResolution", "nodenext")
BROWSER = ("--lib", "es2022,dom", "--module", "esnext", "--moduleResolution", "bundler", "--skipLibCheck")


def run(folder: Path, *command: str) -> None:
    """Run a Node.js command. Its output is shown if it fails."""
    found = shutil.which(command[0])
    assert found is not None
    done = subprocess.run([found, *command[1:]], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-8_000:]}{done.stderr[-4_000:]}"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the document and the packages."""
    if not all(shutil.which(name) for name in ("node", "npm", "npx")):
        pytest.skip("Node.js with npm is not installed: generated clients are not checked")
    folder = tmp_path_factory.mktemp("typescript")
    (folder / "openapi.json").write_text(json.dumps(merged_document()), encoding="utf-8")
    (folder / "package.json").write_text('{"private": true}', encoding="utf-8")
    for name in ("client.ts", "examples.cjs"):
        shutil.copy(HERE / name, folder)
    try:
        run(folder, "npm", "install", "--no-audit", "--no-fund", "--no-package-lock", *PACKAGES)
    except AssertionError as error:
        if any(code in str(error) for code in UNREACHABLE):
            pytest.skip("npm's registry cannot be reached: generated clients are not checked")
        raise
    return folder


def test_strict_compiler_accepts_the_types_and_their_use(project: Path) -> None:
    options = ("--output", "api.d.ts", "--default-non-nullable=false")
    run(project, "npx", "openapi-typescript", "openapi.json", *options)
    run(project, "npx", "tsc", *STRICT, *NODE_MODULES, "client.ts", "api.d.ts")


def test_strict_compiler_accepts_the_generated_functions(project: Path) -> None:
    run(project, "npx", "orval", "--input", "./openapi.json", "--output", "./functions.ts", "--client", "fetch")
    run(project, "npx", "tsc", *STRICT, *BROWSER, "functions.ts")
    written = (project / "functions.ts").read_text(encoding="utf-8")
    assert "export const listAppeals = async" in written


def test_ajv_compiles_every_schema_and_accepts_every_example(project: Path) -> None:
    run(project, "node", "examples.cjs")
