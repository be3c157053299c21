"""A folder with the npm packages that check our documents and signatures."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.merged_document import merged_document

HERE = Path(__file__).parent
PACKAGES = (
    "openapi-typescript@7.13.0",
    "orval@7.13.2",
    "typescript@5.9.3",
    "ajv@8.20.0",
    "ajv-formats@3.0.1",
    "standardwebhooks@1.1.1",
    "svix@1.99.1",
    "@asyncapi/parser@3.6.6",
)
UNREACHABLE = ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ETIMEDOUT", "ECONNRESET")
Run = Callable[..., str]


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the merged document and the packages."""
    if not all(shutil.which(name) for name in ("node", "npm", "npx")):
        pytest.skip("Node.js with npm is not installed: what needs its packages is not checked")
    folder = tmp_path_factory.mktemp("typescript")
    (folder / "openapi.json").write_text(json.dumps(merged_document()), encoding="utf-8")
    (folder / "package.json").write_text('{"private": true}', encoding="utf-8")
    for script in (*HERE.glob("*.ts"), *HERE.glob("*.cjs")):
        shutil.copy(script, folder)
    try:
        _run(folder, "npm", "install", "--no-audit", "--no-fund", "--no-package-lock", *PACKAGES)
    except AssertionError as error:
        if any(code in str(error) for code in UNREACHABLE):
            pytest.skip("npm's registry cannot be reached: what needs its packages is not checked")
        raise
    return folder


@pytest.fixture(scope="session")
def run(project: Path) -> Run:
    """Run a Node.js command in the folder and return its output, which is shown if it fails."""

    def in_project(*command: str) -> str:
        return _run(project, *command)

    return in_project


def _run(folder: Path, *command: str) -> str:
    found = shutil.which(command[0])
    assert found is not None
    done = subprocess.run([found, *command[1:]], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-8_000:]}{done.stderr[-4_000:]}"
    return done.stdout
