"""Settings of the appeals service."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from shared.settings import FernetKeys, NoticesPages, SecretFileSettings


@dataclass(frozen=True)
class S3Bucket:
    """A bucket with its access data; `endpoint` is the URL of the server without the bucket."""

    endpoint: str
    name: str
    region: str
    key_id: str
    secret: SecretStr


class AppealsSettings(SecretFileSettings):
    """Settings read from environment variables `GOSPABLIK_*`."""

    # Errors must not show the input of a failed validation: it may contain the S3 secret.
    model_config = SettingsConfigDict(
        env_prefix="GOSPABLIK_", extra="ignore", protected_namespaces=(), hide_input_in_errors=True
    )

    classifier: Literal["model", "rule"] = Field(
        default="model", description="What classifies messages: the model, or the keyword rules alone"
    )
    topics_model: Path | None = Field(
        default=None,
        description="Folder of a model made by `gospablik topics train`; it is loaded when the service starts",
    )

    region_name: str = Field(
        default="", description="Region named in exports in the layout of «Инцидент Менеджмент»; empty: left out"
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

    presence_seconds: int = Field(
        default=45, ge=15, le=300, description="How long a page counts as open after its last heartbeat"
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
        description="Sentence added to a final reply whose author wants to ask for a mark; empty: nobody is asked",
    )

    max_partners: int = Field(
        default=20, ge=1, description="Maximum number of partners of one organisation, or of the centre"
    )
    partner_events_per_minute: int = Field(
        default=600,
        ge=1,
        description="Events of the partners of one organisation per minute that a process accepts",
    )
    partner_refusals_per_minute: int = Field(
        default=60,
        ge=1,
        description="Refused events per minute and client address, after which further ones get a 429",
    )

    notices_pages: NoticesPages = Field(
        default=(),
        description="Pages to which staff write the codes that link their accounts for notices, such as "
        "`vk:101,ok:55`, with the same value as for the webhooks service: such a message opens no appeal",
    )

    attachments_dir: Path = Field(
        default=Path(".data/attachments"),
        description="Folder of the photos of replies; the API and the worker of appeals share it",
    )
    attachments_s3_endpoint: str | None = Field(
        default=None, description="Address of an S3 server that keeps the photos instead of the folder"
    )
    attachments_s3_bucket: str | None = Field(
        default=None, pattern=r"^[A-Za-z0-9._-]{3,63}$", description="Bucket for the photos and nothing else"
    )
    attachments_s3_region: str = Field(default="us-east-1", description="Region for which requests are signed")
    attachments_s3_key_id: str | None = Field(default=None, description="Id of the access key")
    attachments_s3_secret: SecretStr | None = Field(default=None, description="Secret of the access key")

    @field_validator("reply_allowed_contacts", "reply_link_hosts", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return frozenset(part.strip().lower() for part in value.split(",") if part.strip())
        return value

    @field_validator(
        "topics_model",
        "attachments_s3_endpoint",
        "attachments_s3_bucket",
        "attachments_s3_key_id",
        "attachments_s3_secret",
        mode="before",
    )
    @classmethod
    def _empty_is_none(cls, value: str | None) -> str | None:
        return value or None

    @field_validator("attachments_s3_endpoint")
    @classmethod
    def _validate_endpoint(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
            raise ValueError("the endpoint must be a URL such as https://s3.example.ru, without a login")
        if parts.path.strip("/") or parts.query or parts.fragment:
            raise ValueError("the endpoint must be the URL of the server alone: set the bucket in its own setting")
        return value.rstrip("/")

    @model_validator(mode="after")
    def _validate_s3(self) -> "AppealsSettings":
        given = {
            "GOSPABLIK_ATTACHMENTS_S3_ENDPOINT": self.attachments_s3_endpoint,
            "GOSPABLIK_ATTACHMENTS_S3_BUCKET": self.attachments_s3_bucket,
            "GOSPABLIK_ATTACHMENTS_S3_KEY_ID": self.attachments_s3_key_id,
            "GOSPABLIK_ATTACHMENTS_S3_SECRET": self.attachments_s3_secret,
        }
        missing = [name for name, value in given.items() if value is None]
        if missing and len(missing) < len(given):
            raise ValueError(
                f"to keep attachments in S3, set {', '.join(missing)} too; to keep them in the folder, set "
                "none of the S3 settings"
            )
        return self

    @property
    def attachments_s3(self) -> S3Bucket | None:
        """Return the bucket of attachments, or None if they are kept in the folder."""
        endpoint, name = self.attachments_s3_endpoint, self.attachments_s3_bucket
        key_id, secret = self.attachments_s3_key_id, self.attachments_s3_secret
        if endpoint is None or name is None or key_id is None or secret is None:
            return None
        return S3Bucket(endpoint, name, self.attachments_s3_region, key_id, secret)


class ContactSettings(SecretFileSettings):
    """The encryption keys of contacts and of partners' secrets, from environment variables `GOSPABLIK_*`."""

    model_config = SettingsConfigDict(env_prefix="GOSPABLIK_", extra="ignore", hide_input_in_errors=True)

    encryption_keys: FernetKeys = Field(
        description="Fernet keys that encrypt contacts and partners' secrets, newest first"
    )


@lru_cache(maxsize=1)
def contact_settings() -> ContactSettings:
    """Return the encryption keys of contacts and of partners' secrets, read once per process."""
    return ContactSettings()


@lru_cache(maxsize=1)
def settings() -> AppealsSettings:
    """Return the settings, read once per process."""
    return AppealsSettings()
