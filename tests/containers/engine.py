"""Run shell lines that begin with `docker`, as an operator does, with Docker or Podman."""

import os
import shutil
import signal
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path

_PROJECT_LABEL = "label=com.docker.compose.project=gospablik"
LIST_VOLUMES = f"docker volume ls --quiet --filter {_PROJECT_LABEL}"
_DEBIAN_PACKAGES = "podman runc netavark aardvark-dns docker-compose debootstrap git openssl"


class StepFailedError(Exception):
    """A step failed; the message contains the expected and the actual result."""


class BarMissedError(StepFailedError):
    """The step worked, but a figure misses its bar; the message contains both."""


class NotPossibleError(Exception):
    """The machine lacks something; the message says what is missing and how to get it."""


@dataclass
class Engine:
    """The program that runs containers, and the environment in which all shell lines run."""

    podman: bool
    folder: Path
    environment: dict[str, str]

    def run(
        self, line: str, *, folder: Path | None = None, timeout: float = 900, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run a line of Bash in a folder. Raises StepFailedError with the end of the output if it fails."""
        with (self.folder / "commands.log").open("a", encoding="utf-8") as log:
            log.write(f"\n{time.strftime('%T')} $ {line}\n")
            began = time.monotonic()
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", line],
                cwd=folder or self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=timeout,
                check=False,
            )
            seconds = time.monotonic() - began
            log.write(f"{_without_secrets(done.stdout)}{done.stderr}[{done.returncode}, {seconds:.0f} s]\n")
        if check and done.returncode:
            raise StepFailedError(
                f"{line}\n  exit {done.returncode}: {(done.stderr or done.stdout).strip()[-1500:]}"
            )
        return done

    def output(self, line: str, *, folder: Path | None = None, timeout: float = 300) -> str:
        """Run a line and return its output without surrounding white space."""
        return self.run(line, folder=folder, timeout=timeout).stdout.strip()

    def has_image(self, name: str) -> bool:
        """Return whether this machine has an image of this name."""
        return self.run(f"docker image inspect {name}", check=False).returncode == 0


def _without_secrets(output: str) -> str:
    secret = ("PASSWORD", "_KEY", "postgresql://")
    return "\n".join("…" if any(name in line for name in secret) else line for line in output.splitlines())


def find_engine(folder: Path) -> Engine:
    """Return Docker if only Docker is installed, else Podman with Docker's command line and Compose.

    Raises NotPossibleError without root or if a program is missing or not running.
    """
    if os.geteuid() != 0:
        raise NotPossibleError("run it as root: containers get volumes, limits and a network of their own")
    # Only root may read the folder: the log of commands may contain passwords.
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith(("GOSPABLIK_", "COMPOSE_"))
    }
    if shutil.which("docker") and not shutil.which("podman"):
        answers = (
            subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode == 0
        )
        if not answers or subprocess.run(["docker", "info"], capture_output=True, check=False).returncode:
            raise NotPossibleError("Docker is installed, but its server or Compose does not answer: start it")
        return Engine(podman=False, folder=folder, environment=environment)
    missing = [name for name in ("podman", "docker-compose", "git") if not shutil.which(name)]
    if missing:
        raise NotPossibleError(
            f"not installed: {', '.join(missing)}. On Debian 13: apt install {_DEBIAN_PACKAGES}"
        )
    return Engine(podman=True, folder=folder, environment=environment | _podman_environment(folder))


def _podman_environment(folder: Path) -> dict[str, str]:
    commands, settings, socket = folder / "bin", folder / "containers.conf", folder / "podman.sock"
    commands.mkdir(exist_ok=True)
    docker = commands / "docker"
    docker.write_text(
        '#!/bin/sh\nif [ "$1" = compose ]; then shift; exec docker-compose "$@"; fi\nexec podman "$@"\n',
        encoding="utf-8",
    )
    docker.chmod(0o755)
    # crun needs cgroup v2; runc supports both versions. Images without a registry in their name are local.
    runtime = "" if Path("/sys/fs/cgroup/cgroup.controllers").exists() else 'runtime = "runc"\n'
    settings.write_text(
        '[containers]\ndefault_ulimits = ["nofile=20000:20000", "nproc=20000:20000"]\n'
        f"[engine]\ncompat_api_enforce_docker_hub = false\n{runtime}",
        encoding="utf-8",
    )
    return {
        "PATH": f"{commands}:{os.environ['PATH']}",
        "CONTAINERS_CONF_OVERRIDE": str(settings),
        "DOCKER_HOST": f"unix://{socket}",
        "DOCKER_BUILDKIT": "0",
        "PODMAN_IGNORE_CGROUPSV1_WARNING": "1",
    }


class PodmanService:
    """Runs Podman's Docker API for Compose, and health checks, which Podman leaves to systemd timers."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._stop = threading.Event()
        self._checks = threading.Thread(target=self._check_health, daemon=True)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> None:
        if not self._engine.podman:
            return
        socket = self._engine.folder / "podman.sock"
        socket.unlink(missing_ok=True)
        with (self._engine.folder / "podman.log").open("ab") as log:
            self._process = subprocess.Popen(
                ["podman", "system", "service", "--time=0", f"unix://{socket}"],
                env=self._engine.environment,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + 30
        while not socket.exists():
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise NotPossibleError(f"`podman system service` does not start: {log.name}")
            time.sleep(0.1)
        self._checks.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait()

    def _check_health(self) -> None:
        """Check starting containers every second and healthy containers every ten seconds, as Docker does."""
        checked: dict[str, float] = {}
        while not self._stop.wait(1):
            listed = self._podman("ps", "--filter", _PROJECT_LABEL, "--format", "{{.ID}} {{.Status}}")
            for line in listed.splitlines():
                container, _, status = line.partition(" ")
                if "(" not in status:
                    continue
                if "(healthy)" in status and time.monotonic() - checked.get(container, 0) < 10:
                    continue
                checked[container] = time.monotonic()
                self._podman("healthcheck", "run", container)

    def _podman(self, *arguments: str) -> str:
        environment = self._engine.environment
        return subprocess.run(
            ["podman", *arguments], env=environment, capture_output=True, text=True, timeout=60, check=False
        ).stdout
