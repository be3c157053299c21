"""Settings of the gateway service."""

import re

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.log_levels import LogLevel

# An origin as browsers send it: without the default port.
_ORIGIN = re.compile(r"(http(?!.*:80$)|https(?!.*:443$))://(\[[0-9a-f:.]+\]|[a-z0-9.-]+)(:[0-9]{1,5})?")
# Services with routes of the public API; the console has pages only.
API_SERVICES = ("registry", "ingest", "appeals", "metrics", "webhooks")
_WORKER = "The service's worker, if it is a separate process; its readiness is part of `/health`"


class GatewaySettings(BaseSettings):
    """Settings from `GOSPABLIK_*`; the gateway service has no secrets and no database."""

    model_config = SettingsConfigDict(env_prefix="GOSPABLIK_", extra="ignore")

    host: str = "127.0.0.1"
    port: int = 8100
    log_level: LogLevel = "INFO"
    registry_url: str = "http://127.0.0.1:8101"
    ingest_url: str = "http://127.0.0.1:8102"
    appeals_url: str = "http://127.0.0.1:8103"
    metrics_url: str = "http://127.0.0.1:8104"
    webhooks_url: str = "http://127.0.0.1:8105"
    console_url: str = "http://127.0.0.1:8106"
    registry_worker_url: str = Field(default="", description=_WORKER)
    ingest_worker_url: str = Field(default="", description=_WORKER)
    appeals_worker_url: str = Field(default="", description=_WORKER)
    metrics_worker_url: str = Field(default="", description=_WORKER)
    webhooks_worker_url: str = Field(default="", description=_WORKER)
    gateway_body_bytes: int = Field(
        default=64 * 1024 * 1024,
        gt=0,  # Traefik reads the same setting, and takes 0 as no limit
        description="Maximum size of a request body at the gateway; services have lower limits, at most 21 MiB",
    )
    health_timeout_seconds: float = Field(default=3.0, gt=0)
    health_cache_seconds: float = Field(
        default=1.0, ge=0, description="How long the health of all processes is reused for other requests"
    )
    openapi_cache_seconds: float = Field(
        default=15.0, description="How long OpenAPI documents of services are cached"
    )

    cors_origins: str = Field(
        default="", description="Origins whose browser scripts may call the API, separated by commas"
    )

    @field_validator("cors_origins")
    @classmethod
    def _check_origins(cls, value: str) -> str:
        # Traefik reads the same setting, and an origin that no browser sends would silently allow nobody.
        for origin in value.split(",") if value.strip() else ():
            if not _ORIGIN.fullmatch(origin.strip()):
                raise ValueError(
                    f"«{origin.strip()}» is not an origin: scheme, host and port as a browser sends them, such as "
                    "https://front.example.ru"
                )
        return value

    def service_urls(self) -> dict[str, str]:
        """Return the internal base URL of each service."""
        return {name: str(getattr(self, f"{name}_url")).rstrip("/") for name in (*API_SERVICES, "console")}

    def process_urls(self) -> dict[str, str]:
        """Return the internal base URL of each process whose readiness counts: the services and their workers."""
        workers = {f"{name}-worker": str(getattr(self, f"{name}_worker_url")).rstrip("/") for name in API_SERVICES}
        return self.service_urls() | {name: url for name, url in workers.items() if url}

    def api_urls(self) -> dict[str, str]:
        """Return the internal base URL of each service with routes of the public API."""
        return {name: url for name, url in self.service_urls().items() if name in API_SERVICES}
