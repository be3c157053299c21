"""Settings of metrics, in addition to those of every service."""

from functools import lru_cache

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class MetricsSettings(BaseSettings):
    """Read from `GOSPABLIK_*`."""

    model_config = SettingsConfigDict(env_prefix="GOSPABLIK_", extra="ignore", hide_input_in_errors=True)

    report_hour: int = Field(
        default=7, ge=0, le=23, description="The report is published on Monday from this hour on, region's time"
    )
    rank_min_appeals: int = Field(
        default=10, ge=2, description="How many appeals an organisation needs to get a rank among its peers"
    )
    rank_min_peers: int = Field(
        default=5, ge=3, description="How many organisations with enough appeals a group needs to get ranks"
    )


@lru_cache
def metrics_settings() -> MetricsSettings:
    """Return the settings of this process, read once."""
    return MetricsSettings()
