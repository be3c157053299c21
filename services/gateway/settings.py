"""Settings of the gateway service."""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

SERVICES = ("registry", "ingest", "appeals", "metrics", "webhooks")


class GatewaySettings(BaseSettings):
    """Read from `GOSPABLIK_*`; the gateway service has no secrets and no database."""

    model_config = SettingsConfigDict(env_prefix="GOSPABLIK_", extra="ignore")

    host: str = "127.0.0.1"
    port: int = 8100
    registry_url: str = "http://127.0.0.1:8101"
    ingest_url: str = "http://127.0.0.1:8102"
    appeals_url: str = "http://127.0.0.1:8103"
    metrics_url: str = "http://127.0.0.1:8104"
    webhooks_url: str = "http://127.0.0.1:8105"
    gateway_body_bytes: int = Field(
        default=64 * 1024 * 1024,
        description="Maximum size of a request body at the gateway; services have lower limits",
    )
    health_timeout_seconds: float = 3.0
    openapi_cache_seconds: float = Field(
        default=15.0, description="How long OpenAPI documents of services are cached"
    )

    def service_urls(self) -> dict[str, str]:
        """Return the internal base URL of each service."""
        return {name: str(getattr(self, f"{name}_url")).rstrip("/") for name in SERVICES}
