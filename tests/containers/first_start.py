"""Steps from an empty machine to published replies, with the documented commands."""

import re
import secrets
import time

from tests.containers import citizens
from tests.containers.base_images import ensure_base_images
from tests.containers.documented import documented_lines
from tests.containers.engine import BarMissedError, StepFailedError
from tests.containers.installation import Installation

MAX_IMAGE_MB = 500
MAX_CODE_CHANGE_MB = 25
MAX_START_SECONDS = 30
_UNITS = {
    "B": 1e-6,
    "kB": 1e-3,
    "KB": 1e-3,
    "MB": 1.0,
    "GB": 1e3,
    "KiB": 1024e-6,
    "MiB": 1.048576,
    "GiB": 1073.741824,
}


def megabytes(shown: str) -> float:
    """Convert a size in the format of Docker and Podman, such as `25.5MB`, to megabytes."""
    found = re.fullmatch(r"([\d.]+) ?([kKMG]?i?B)", shown.strip())
    if found is None:
        raise StepFailedError(f"not a size: {shown!r}")
    return float(found[1]) * _UNITS[found[2]]


def base_images(installation: Installation, *, ask_registry: bool) -> str:
    """Fetch the base images, or build stand-ins."""
    return ensure_base_images(installation.engine, installation.folder, ask_registry=ask_registry)


def image(installation: Installation) -> str:
    """Build the image; check its size and the size of the layer with the code."""
    began = time.monotonic()
    installation.build()
    took = time.monotonic() - began
    size = int(installation.command("docker image inspect --format '{{.Size}}' gospablik")) / 1e6
    layers = installation.command("docker history --format '{{.Size}}' gospablik").splitlines()
    code = next(layer for layer in map(megabytes, layers) if layer > 0)
    figures = (
        f"{size:.0f} MB, of them {code:.1f} MB in the layer that a change of the code ships; built in {took:.0f} s"
    )
    if size > MAX_IMAGE_MB or code > MAX_CODE_CHANGE_MB:
        raise BarMissedError(f"{figures}; allowed are {MAX_IMAGE_MB} MB and {MAX_CODE_CHANGE_MB} MB")
    return figures


def start(installation: Installation) -> str:
    """Generate `.env` and start all containers, first with an empty database, then again."""
    _, generate, up, _ = documented_lines("deployment", "The first start")
    installation.configure(generate)
    first = _timed(installation, up)
    installation.command("docker compose stop")
    again = _timed(installation, up)
    figures = f"healthy after {first:.0f} s with an empty database, after {again:.0f} s when started again"
    if again > MAX_START_SECONDS:
        raise BarMissedError(f"{figures}; allowed are {MAX_START_SECONDS} s")
    return figures


def _timed(installation: Installation, up: str) -> float:
    began = time.monotonic()
    installation.command(up, timeout=400)
    status, document = installation.health()
    if document["status"] != "pass":
        raise StepFailedError(f"started, and /health says {status} {document}")
    return time.monotonic() - began


def people(installation: Installation) -> str:
    """Create the first person with the documented command and, as this person, a moderator."""
    *_, add = documented_lines("deployment", "The first start")
    password = installation.command(add.replace("NAME", "operator").replace("Full name", "Первый Оператор"))
    operator = installation.person("operator", password.splitlines()[-1].strip())
    moderators = secrets.token_urlsafe(18)
    body = {"username": "moderator", "full_name": "Модератор Центра", "role": "moderator", "password": moderators}
    operator.post("/people", body)
    moderator = installation.person("moderator", moderators)
    rights = [len(person.get("/me")["rights"]) for person in (operator, moderator)]
    return f"the first person has {rights[0]} rights, a moderator made by them {rights[1]}"


def region(installation: Installation) -> str:
    """Import organisations with pages, and add tokens of the networks."""
    began = time.monotonic()
    organisations, pages = citizens.connect_region(installation)
    took = time.monotonic() - began
    return f"{organisations} organisations with {pages} pages imported, all followed after {took:.0f} s"


def main_job(installation: Installation) -> str:
    """Write messages in both networks and check that replies appear in their threads."""
    return str(citizens.run_flow(installation, 2))
