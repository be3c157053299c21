"""An installation from the project's Compose file, operated with the documented commands."""

import json
import os
import shutil
import time
from collections.abc import Iterable
from pathlib import Path

import httpx

from cli.atomic_files import write_private
from tests.containers.api import Network, Person, wait_until
from tests.containers.engine import LIST_VOLUMES, Engine, NotPossibleError, StepFailedError

ROOT = Path(__file__).parents[2]
_PORTS = {"GOSPABLIK_PORT_GATEWAY": 28080, "GOSPABLIK_PORT_GATEWAY_TLS": 28443}
_NETWORK_PORTS = {"vk": 28090, "ok": 28091}
_GATEWAY = f"http://127.0.0.1:{_PORTS['GOSPABLIK_PORT_GATEWAY']}"
# Settings of an installation with the emulators; all other settings have the defaults of the Compose file.
_SETTINGS = {
    **_PORTS,
    "GOSPABLIK_PUBLIC_URL": _GATEWAY,
    **{f"GOSPABLIK_PORT_{name.upper()}": port for name, port in _NETWORK_PORTS.items()},
    "GOSPABLIK_VK_API_URL": "http://vk:8090",
    "GOSPABLIK_OK_API_URL": "http://ok:8091",
    "COMPOSE_PROFILES": "emulators",
}
SERVICES = ("registry", "ingest", "appeals", "metrics", "webhooks")


class Installation:
    """A clone of the project with its `.env`, and its containers."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.folder = engine.folder / "project"
        self.networks = {name: Network(name, f"http://127.0.0.1:{port}") for name, port in _NETWORK_PORTS.items()}
        self._passwords = engine.folder / "passwords.json"
        self.people: dict[str, Person] = {}
        if self._passwords.exists():
            stored = json.loads(self._passwords.read_text(encoding="utf-8"))
            self.people = {name: Person(_GATEWAY, name, password) for name, password in stored.items()}

    def clone(self, version: str = "HEAD") -> None:
        """Check out a commit of this repository in the clone, without uncommitted changes."""
        if not self.folder.exists():
            self.engine.run(f"git clone --quiet --no-checkout {ROOT} {self.folder}")
        commit = self.engine.output(f"git rev-parse --verify {version}^{{commit}}", folder=ROOT)
        self.engine.run(f"git fetch --quiet origin HEAD && git checkout --quiet {commit}", folder=self.folder)

    def refuse_foreign(self) -> None:
        """Raise NotPossibleError if this machine has an installation that these tests did not create."""
        if (self.folder / ".env").exists():
            return
        if self.engine.output(LIST_VOLUMES):
            raise NotPossibleError("this machine has an installation of gospablik, which the tests would replace")

    def command(self, line: str, *, timeout: float = 900) -> str:
        """Run a command line in the folder of the Compose file; return its output."""
        return self.engine.run(line, folder=self.folder, timeout=timeout).stdout.strip()

    def build(self) -> None:
        """Build the image with the documented command, with this machine's package index and certificates."""
        secrets = self.engine.folder / "pip.conf"
        configured = self.engine.output("python3 -m pip config get global.index-url 2> /dev/null || true")
        authority = os.environ.get("PIP_CERT", "/etc/ssl/certs/ca-certificates.crt")
        index = f"index-url = {configured}\n" if configured else ""
        secrets.write_text(f"[global]\n{index}cert = /run/secrets/ca\n", encoding="utf-8")
        self.command(
            f"docker build --secret id=pip,src={secrets} --secret id=ca,src={authority} -t gospablik .",
            timeout=3600,
        )

    def configure(self, first_line: str) -> None:
        """Generate `.env` with the documented command; add ports and the emulators' addresses."""
        self.command(first_line)
        with (self.folder / ".env").open("a", encoding="utf-8") as file:
            file.writelines(f"{name}={value}\n" for name, value in _SETTINGS.items())
        if self.engine.podman:
            self._adapt_to_podman()

    def _adapt_to_podman(self) -> None:
        """Remove `start_interval` of health checks, which Podman's Docker API refuses."""
        (self.folder / "docker-compose.override.yml").unlink(missing_ok=True)
        services = json.loads(self.command("docker compose config --format json"))["services"]
        lines = ["services:"]
        for name, service in services.items():
            if "start_interval" in service.get("healthcheck", {}):
                lines += [f"  {name}:", "    healthcheck:", "      start_interval: !reset null"]
        (self.folder / "docker-compose.override.yml").write_text("\n".join(lines) + "\n", encoding="utf-8")

    def up(self, *options: str) -> float:
        """Start all containers and wait until they are healthy. Return the seconds that this took."""
        began = time.monotonic()
        self.command(" ".join(("docker compose up -d --wait", *options)), timeout=400)
        wait_until(self.passes, "GET /health says pass", seconds=60)
        return time.monotonic() - began

    def health(self) -> tuple[int, dict[str, object]]:
        """Return status and body of the gateway's `/health`; status 0 without a response."""
        try:
            response = httpx.get(f"{_GATEWAY}/health", timeout=20)
            return response.status_code, response.json()
        except (httpx.TransportError, ValueError) as error:
            return 0, {"status": "no answer", "output": repr(error)}

    def passes(self) -> bool:
        """Return whether `/health` reports the status `pass`."""
        return self.health()[1]["status"] == "pass"

    def person(self, name: str, password: str) -> Person:
        """Return a client for a person; store the password for later steps."""
        self.people[name] = Person(_GATEWAY, name, password)
        stored = {one.name: one.password for one in self.people.values()}
        write_private(self._passwords, json.dumps(stored))
        return self.people[name]

    @property
    def moderator(self) -> Person:
        """Return the moderator. Raises StepFailedError if the step `people` has not created one."""
        if "moderator" not in self.people:
            raise StepFailedError("there is no moderator: the step `people` has not run")
        return self.people["moderator"]

    def containers(self, *services: str) -> list[str]:
        """Return the ids of the running containers of these services, or of all services."""
        return self.command(f"docker compose ps --quiet {' '.join(services)}").split()

    def kill(self, *services: str) -> None:
        """Kill the containers' processes, as a crash would, and wait until their restart policy restarts them."""
        found = self.containers(*services)
        for container in found:
            process = self.engine.output(f"docker inspect --format '{{{{.State.Pid}}}}' {container}")
            os.kill(int(process), 9)
        wait_until(lambda: not self._stopped(found), f"{', '.join(services)} run again", seconds=60)

    def _stopped(self, containers: Iterable[str]) -> list[str]:
        stopped = []
        for container in containers:
            state = self.engine.output(f"docker inspect --format '{{{{.State.Status}}}}' {container}")
            if state != "running":
                stopped.append(container)
        return stopped

    def sql(self, query: str) -> str:
        """Run a query as the superuser; return its rows as psql prints them unaligned."""
        line = f'docker compose exec -T postgres psql -U postgres -d gospablik -At -c "{query}"'
        return self.command(line)

    def gospablik(self, service: str, arguments: str) -> str:
        """Run a `gospablik` command in the running container of a service; return its output."""
        return self.command(f"docker compose exec -T {service} gospablik {arguments}")

    def remove(self) -> None:
        """Remove the containers, their data and settings; keep images."""
        if (self.folder / ".env").exists():
            self.command("docker compose down --volumes --remove-orphans")
            (self.folder / ".env").unlink()
        self._passwords.unlink(missing_ok=True)
        self.people.clear()

    def remove_images(self) -> None:
        """Delete the built images and the clone."""
        self.engine.run("docker rmi --force gospablik:latest gospablik:before", check=False)
        shutil.rmtree(self.folder, ignore_errors=True)
