"""Settings of the embedded run: its data folder and its ports."""

from pathlib import Path

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

API_SERVICES = ("registry", "ingest", "appeals", "metrics", "webhooks")
SERVICES = (*API_SERVICES, "console")
EMULATED_NETWORKS = ("vk", "ok")


def port_field(name: str) -> str:
    """Return the name of the setting with the port of one part of the run."""
    return f"port_{name.replace('-', '_')}"


class EmbeddedSettings(BaseSettings):
    """Settings read from `GOSPABLIK_*` variables; every port of the run can be changed."""

    model_config = SettingsConfigDict(env_prefix="GOSPABLIK_", extra="ignore")

    data_dir: Path = Field(default=Path(".data"), description="The folder for everything the run writes")
    host: str = Field(default="127.0.0.1", description="Address all processes of the run listen on")
    citizens_per_minute: float = Field(
        default=12, description="How many messages the emulated citizens of each network write in a minute"
    )
    demo_weeks: int = Field(
        default=12,
        ge=0,
        le=104,
        description="How many complete weeks of made-up history a new demo gets, besides the current one; 0: none",
    )
    clock_shift_seconds: float = Field(
        default=0, description="Shifts the clock of every process of the run, and of its database"
    )
    database_admin_url: str | None = Field(
        default=None, description="Superuser URL of a Postgres to use instead of the embedded one"
    )
    port_gateway: int = 8080
    port_vk: int = 8090
    port_ok: int = 8091
    port_gateway_service: int = 8100
    port_registry: int = 8101
    port_ingest: int = 8102
    port_appeals: int = 8103
    port_metrics: int = 8104
    port_webhooks: int = 8105
    port_console: int = 8106
    port_traefik: int = 8107
    port_gateway_internal: int = 8108
    port_postgres: int = 8132

    @field_validator("data_dir")
    @classmethod
    def _supervisor_can_name_it(cls, value: Path) -> Path:
        """Raise ValueError for characters that have a special meaning in supervisor's configuration."""
        # A number sign begins a comment only after a space.
        if found := [part for part in ("%", '"', ";", "\n", " #") if part in str(value.absolute())]:
            raise ValueError(f"the data folder's path must not contain {' or '.join(map(repr, found))}")
        return value

    def port(self, name: str) -> int:
        """Return the port of one part.

        Parts are the services, `gateway`, `gateway-internal`, `gateway-service`, `traefik`, `vk`, `ok` and
        `postgres`.
        """
        return int(getattr(self, port_field(name)))

    def ports(self) -> dict[str, int]:
        """Return every port of this run, by the name of the part."""
        names = ("gateway", "gateway-internal", *EMULATED_NETWORKS, "gateway-service", *SERVICES, "traefik")
        taken = {name: self.port(name) for name in names}
        if self.database_admin_url is None:
            taken["postgres"] = self.port_postgres
        return taken

    def url(self, name: str) -> str:
        """Return the HTTP base URL of one part of the run, without a final slash."""
        return f"http://{self.host}:{self.port(name)}"
