"""Settings of the registry beside those every service has."""

from functools import lru_cache

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class RegistrySettings(BaseSettings):
    """Read from `GOSPABLIK_*`."""

    model_config = SettingsConfigDict(env_prefix="GOSPABLIK_", extra="ignore")

    page_checks_calls_a_day: int = Field(
        default=600,
        ge=0,
        description="Calls to the networks that the daily checks of pages may cost, all together",
    )
    page_checks_pause_seconds: float = Field(
        default=60, gt=0, description="How long the daily checks rest between two parts"
    )


@lru_cache
def registry_settings() -> RegistrySettings:
    """The process's settings, read once."""
    return RegistrySettings()
