"""Settings of the registry, in addition to those of every service."""

from functools import lru_cache

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class RegistrySettings(BaseSettings):
    """Settings of the registry from `GOSPABLIK_*`."""

    model_config = SettingsConfigDict(env_prefix="GOSPABLIK_", extra="ignore")

    max_clients: int = Field(
        default=50, ge=1, description="Maximum number of active API clients of one organisation, or of the centre"
    )
    page_checks_calls_per_day: int = Field(
        default=1_000,
        ge=0,
        description="How many calls to the networks the daily page checks may make per day, over all networks, "
        "without those for reach",
    )
    page_checks_reach_calls_per_day: int = Field(
        default=5_000,
        ge=0,
        description="How many calls the daily page checks may make per day for the reach of pages, one per page; "
        "0: reach is not read",
    )
    page_checks_pause_seconds: float = Field(
        default=60, gt=0, description="Seconds that the daily page checks wait between two batches"
    )


@lru_cache
def registry_settings() -> RegistrySettings:
    """Return the settings of this process, read once."""
    return RegistrySettings()
