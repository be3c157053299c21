"""Settings of the webhooks service: encryption keys, allowed receivers, timeouts, event streams, notices."""

import re
from datetime import time
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from shared.settings import FernetKeys, NoticesPages, SecretFileSettings

IpNetwork = IPv4Network | IPv6Network


class WebhooksSettings(SecretFileSettings):
    """Read from `GOSPABLIK_*`."""

    model_config = SettingsConfigDict(env_prefix="GOSPABLIK_", extra="ignore", hide_input_in_errors=True)

    encryption_keys: FernetKeys = Field(
        description="Fernet keys that encrypt stored secrets, comma-separated, newest first"
    )
    webhooks_allowed_networks: Annotated[tuple[IpNetwork, ...], NoDecode] = Field(
        default=(), description="Private networks that deliveries may reach: CIDR, comma-separated"
    )
    webhooks_personal_data_hosts: Annotated[frozenset[str], NoDecode] = Field(
        default=frozenset(),
        description="Hosts that may receive citizens' texts with personal data unmasked: names, comma-separated",
    )
    webhooks_max_endpoints: int = Field(
        default=20, ge=1, description="Maximum number of endpoints of one organisation, or of the centre"
    )
    webhooks_tests_per_minute: int = Field(
        default=10,
        ge=1,
        description="Maximum number of tests and verifications of URLs per minute of one organisation",
    )
    webhooks_require_verification: bool = Field(
        default=True,
        description="Whether a new URL gets deliveries only once its receiver has repeated a challenge",
    )
    webhooks_replays_per_second: float = Field(
        default=20, gt=0, le=1000, description="How many replayed deliveries of one endpoint become due per second"
    )
    webhooks_disable_after_days: float = Field(
        default=5,
        ge=1,
        le=90,
        description="An endpoint is disabled after this many days of failures without a success",
    )
    webhooks_timeout_seconds: float = Field(default=15, gt=0, le=60, description="Timeout of one attempt")
    webhooks_concurrency: int = Field(
        default=128, ge=1, le=1000, description="Maximum number of concurrent attempts"
    )

    # Event streams.
    stream_heartbeat_seconds: float = Field(
        default=15, gt=0, le=60, description="After this time without events a comment is sent"
    )
    stream_recheck_seconds: float = Field(
        default=15, gt=0, le=300, description="How often the access of all listeners is checked again"
    )
    stream_ticket_seconds: int = Field(default=60, ge=1, le=300, description="How long a ticket can be used")
    stream_buffer_events: int = Field(
        default=1_000, ge=1, description="How many events may wait for one listener in memory"
    )
    stream_send_timeout_seconds: float = Field(
        default=30, gt=0, description="How long one send may wait for the reader before the stream is cut off"
    )
    stream_per_caller: int = Field(default=10, ge=1, description="Open streams and waiting reads of one caller")
    stream_per_organisation: int = Field(
        default=100,
        ge=1,
        description="Open streams and waiting reads of one organisation, or of the centre, in one process; "
        "keep it at a fifth of `stream_per_process`",
    )
    stream_per_process: int = Field(
        default=500, ge=0, description="Maximum number of open streams of one process; 0: streams are off"
    )

    # Notices by e-mail.
    smtp_host: str | None = Field(default=None, description="The mail server; empty: no e-mail is sent")
    smtp_port: int = Field(default=587, ge=1, le=65535)
    smtp_tls: Literal["starttls", "tls", "none"] = Field(
        default="starttls",
        description="`tls`: from the first byte, usually port 465; `none`: only within one machine",
    )
    smtp_user: str | None = Field(default=None, description="Empty: no authentication")
    smtp_password: SecretStr = SecretStr("")
    smtp_from: str | None = Field(default=None, description="The address that letters come from")
    smtp_bounce_address: str | None = Field(
        default=None,
        description="Where undeliverable letters are returned to, with `+` and the letter's id added; empty: "
        "`smtp_from`",
    )
    smtp_timeout_seconds: float = Field(default=30, gt=0, le=120, description="Timeout of one command")
    smtp_connections: int = Field(default=2, ge=1, le=20, description="Connections of one worker at the same time")
    smtp_letters_per_minute: int = Field(default=300, ge=1, description="Letters of one worker per minute")
    mail_dir: Path | None = Field(
        default=None, description="A folder into which letters are written instead of being sent; for development"
    )
    front_end_url: str | None = Field(
        default=None,
        description="Where people open appeals and reports, as in `<url>/appeals/<id>` and "
        "`<url>/reports/weekly/<week>`; empty: `public_url`",
    )
    notices_digest_time: time = Field(default=time(9), description="When digests are sent, local time")
    notices_gather_seconds: int = Field(
        default=60, ge=0, le=300, description="How long a notice waits for others to share its letter"
    )

    notices_max_pdf_mb: int = Field(
        default=7,
        ge=0,
        le=100,
        description="The weekly report is attached to letters if its PDF has at most this many MiB, else only "
        "linked; 0: never attached",
    )

    notices_pages: NoticesPages = Field(
        default=(),
        description="Pages that send notices as direct messages, and to which people send the code that links "
        "their account: network and id there, such as `vk:101,ok:55`, at most one per network; empty: e-mail only",
    )

    @property
    def sends_email(self) -> bool:
        """Return whether letters can be sent."""
        return self.smtp_host is not None or self.mail_dir is not None

    @field_validator(
        "smtp_host", "smtp_user", "smtp_from", "smtp_bounce_address", "mail_dir", "front_end_url", mode="before"
    )
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return value or None

    @model_validator(mode="after")
    def _validate_sender(self) -> "WebhooksSettings":
        if self.smtp_host is not None and self.smtp_from is None:
            raise ValueError("smtp_host requires smtp_from: the address that letters come from")
        for name in ("smtp_from", "smtp_bounce_address"):
            address = getattr(self, name)
            if address is not None and re.fullmatch(r"[!-?A-~]+@[!-?A-~]+", address) is None:
                raise ValueError(f"{name} must be an address such as noreply@example.ru, without a name")
        return self

    @field_validator("webhooks_personal_data_hosts", mode="before")
    @classmethod
    def _hosts(cls, value: object) -> object:
        if isinstance(value, str):
            return frozenset(part.strip().lower().rstrip(".") for part in value.split(",") if part.strip())
        return value

    @field_validator("webhooks_allowed_networks", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(ip_network(part.strip()) for part in value.split(",") if part.strip())
        return value


@lru_cache
def webhooks_settings() -> WebhooksSettings:
    """Return the settings of this process, read once."""
    return WebhooksSettings()
