"""Settings of the console: the gateway's address, encryption keys, the client registered at the region's OIDC
issuer.
"""

from functools import lru_cache

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from shared.settings import FernetKeys, SecretFileSettings


class ConsoleSettings(SecretFileSettings):
    """Settings read from environment variables `GOSPABLIK_*`."""

    model_config = SettingsConfigDict(env_prefix="GOSPABLIK_", extra="ignore", hide_input_in_errors=True)

    encryption_keys: FernetKeys = Field(
        description="Fernet keys that encrypt stored secrets, comma-separated, newest first"
    )
    gateway_url: str = Field(
        default="http://127.0.0.1:8108",
        description="Where the console calls the public API: the gateway's entry point `internal`",
    )
    api_timeout_seconds: float = Field(
        default=25, gt=0, le=60, description="Timeout of one call of the public API"
    )
    oidc_client_secret: SecretStr = Field(
        default=SecretStr(""),
        description="Secret of the client `oidc_client_id` at the region's OIDC issuer; empty for a public client",
    )


@lru_cache
def console_settings() -> ConsoleSettings:
    """Return the settings of this process, read once."""
    return ConsoleSettings()
