"""Settings of metrics: when the weekly report is published."""

from functools import lru_cache

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class MetricsSettings(BaseSettings):
    """Read from `GOSPABLIK_*`."""

    model_config = SettingsConfigDict(env_prefix="GOSPABLIK_", extra="ignore", hide_input_in_errors=True)

    report_hour: int = Field(
        default=7, ge=0, le=23, description="The report is published on Monday from this hour on, region's time"
    )


@lru_cache
def metrics_settings() -> MetricsSettings:
    """Return the settings of this process, read once."""
    return MetricsSettings()
