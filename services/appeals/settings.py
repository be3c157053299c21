"""Settings of the appeals service."""

from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class AppealsSettings(BaseSettings):
    """Settings read from environment variables `GOSPABLIK_*`."""

    model_config = SettingsConfigDict(env_prefix="GOSPABLIK_", extra="ignore", protected_namespaces=())

    classifier: Literal["model", "rule"] = Field(
        default="model", description="What classifies messages: the model, or the keyword rules alone"
    )
    topics_model: Path | None = Field(
        default=None,
        description="Folder of a model made by `gospablik topics train`; it is loaded when the service starts",
    )

    spike_min_authors: int = Field(
        default=5,
        ge=2,
        description="Minimum number of people who write about one topic and location before it counts as a spike",
    )
    spike_window_minutes: int = Field(
        default=60, ge=5, description="Length of the window, in minutes, in which these people write"
    )
    incident_quiet_hours: int = Field(
        default=6,
        ge=1,
        description="Hours without a new message after which an open incident takes no more appeals",
    )

    @field_validator("topics_model", mode="before")
    @classmethod
    def _empty_is_none(cls, value: str | None) -> str | None:
        return value or None


@lru_cache(maxsize=1)
def settings() -> AppealsSettings:
    """Return the process's settings, read once."""
    return AppealsSettings()
