"""Settings of metrics, in addition to those common to all services."""

from functools import lru_cache
from pathlib import Path

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class MetricsSettings(BaseSettings):
    """Settings read from environment variables `GOSPABLIK_*`."""

    model_config = SettingsConfigDict(env_prefix="GOSPABLIK_", extra="ignore", hide_input_in_errors=True)

    report_hour: int = Field(
        default=7, ge=5, le=23, description="The report is published on Monday from this hour on, region's time"
    )
    rank_min_appeals: int = Field(
        default=10, ge=2, description="How many appeals an organisation needs to get a rank among its peers"
    )
    rank_min_peers: int = Field(
        default=5, ge=3, description="How many organisations with enough appeals a group needs to get ranks"
    )
    grading_sample_size: int = Field(
        default=100, ge=0, le=2_000, description="How many answers of a week are graded; 0: no sample is drawn"
    )
    grading_second_share: float = Field(
        default=0.2, ge=0, le=1, description="Share of the sample that a second person grades too"
    )
    grading_claim_hours: int = Field(
        default=8, ge=1, le=168, description="How many hours an answer stays assigned to the person who took it"
    )
    grading_objection_days: int = Field(
        default=10, ge=0, le=90, description="How many days after an answer was graded its organisation may object"
    )
    grading_minimum: int = Field(
        default=10, ge=1, description="Graded answers below which a mean is not shown: too few"
    )
    grading_minimum_pairs: int = Field(
        default=20, ge=1, description="Comparisons below which nothing is said about trust in a criterion or hint"
    )
    grading_minimum_kappa: float = Field(
        default=0.4,
        ge=-1,
        le=1,
        description="Lower limit of the weighted κ below which a criterion is not trusted",
    )
    map_file: Path | None = Field(
        default=None,
        description="GeoJSON of the region's municipalities by OKTMO: borders or centres, and population",
    )

    open_data: bool = Field(default=False, description="Whether anybody may read the open data of published weeks")
    open_data_minimum: int = Field(
        default=5, ge=3, le=1_000, description="Smaller counts are not published; for weeks published from now on"
    )
    open_data_requests_per_minute: int = Field(
        default=120, ge=1, description="Requests for open data from one address per minute that a process accepts"
    )

    @field_validator("map_file", mode="before")
    @classmethod
    def _empty_is_none(cls, value: str | None) -> str | None:
        return value or None


@lru_cache
def metrics_settings() -> MetricsSettings:
    """Return the settings of this process, read once."""
    return MetricsSettings()
