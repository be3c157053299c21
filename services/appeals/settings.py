"""Settings of the appeals service."""

from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from shared.settings import FernetKeys


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

    reply_lease_seconds: int = Field(
        default=90, ge=30, le=600, description="How long an edit lease of a reply lasts after the last save"
    )
    reply_allowed_contacts: Annotated[frozenset[str], NoDecode] = Field(
        default=frozenset(),
        description="Phones and e-mail addresses that any reply may contain, comma-separated, besides those of "
        "the organisation in the registry",
    )
    reply_link_hosts: Annotated[frozenset[str], NoDecode] = Field(
        default=frozenset(),
        description="Hosts that replies may link to, comma-separated, besides the organisation's site, the "
        "networks and state portals; empty: any host",
    )

    feedback_window_hours: int = Field(
        default=40,
        ge=1,
        le=900,
        description="Working hours of the organisation after a final answer in which the citizen's words about it "
        "are awaited; then silence is recorded",
    )

    mark_question: str = Field(
        default="",
        max_length=300,
        description="What ends a final reply whose author wants to ask for a mark; empty: nobody is asked",
    )

    attachments_dir: Path = Field(
        default=Path(".data/attachments"),
        description="Folder of the photos of replies; API and worker of appeals share it",
    )

    @field_validator("reply_allowed_contacts", "reply_link_hosts", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return frozenset(part.strip().lower() for part in value.split(",") if part.strip())
        return value

    @field_validator("topics_model", mode="before")
    @classmethod
    def _empty_is_none(cls, value: str | None) -> str | None:
        return value or None


class ContactSettings(BaseSettings):
    """The keys of contacts, read when one is stored or shown; `GOSPABLIK_*`."""

    model_config = SettingsConfigDict(env_prefix="GOSPABLIK_", extra="ignore", hide_input_in_errors=True)

    encryption_keys: FernetKeys = Field(description="Fernet keys that encrypt contacts, newest first")


@lru_cache(maxsize=1)
def contact_settings() -> ContactSettings:
    """Return the process's keys of contacts, read once."""
    return ContactSettings()


@lru_cache(maxsize=1)
def settings() -> AppealsSettings:
    """Return the process's settings, read once."""
    return AppealsSettings()
