"""Settings of appeals."""

from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class AppealsSettings(BaseSettings):
    """Read from `GOSPABLIK_*`."""

    model_config = SettingsConfigDict(env_prefix="GOSPABLIK_", extra="ignore", protected_namespaces=())

    understanding: Literal["model", "rule"] = Field(
        default="model", description="What judges messages: the model, or the plain rule of words alone"
    )
    topics_model: Path | None = Field(
        default=None,
        description="Folder of a model made by `gospablik topics train`, read when the service starts",
    )

    burst_cases: int = Field(
        default=5, ge=2, description="From so many people on one thing in one place on, a burst may be meant"
    )
    burst_minutes: int = Field(default=60, ge=5, description="Within which time they write")
    burst_quiet_hours: int = Field(
        default=6, ge=1, description="An open incident takes cases until nobody wrote of it for so long"
    )

    @field_validator("topics_model", mode="before")
    @classmethod
    def _empty_is_none(cls, value: str | None) -> str | None:
        return value or None


@lru_cache(maxsize=1)
def settings() -> AppealsSettings:
    """The process's settings, read once."""
    return AppealsSettings()
