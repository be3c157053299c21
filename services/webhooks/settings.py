"""Settings of webhooks: keys that encrypt stored secrets, where deliveries may go, timeouts; event streams."""

from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from shared.settings import FernetKeys

IpNetwork = IPv4Network | IPv6Network


class WebhooksSettings(BaseSettings):
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
        default=10, ge=1, description="Maximum number of test deliveries per minute of one organisation"
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
        default=1_000, ge=1, description="How many events may wait for one listener before it is cut off"
    )
    stream_send_timeout_seconds: float = Field(
        default=30, gt=0, description="How long one send may wait for the reader before the stream is cut off"
    )
    stream_per_caller: int = Field(default=10, ge=1, description="Maximum number of open streams of one caller")
    stream_per_process: int = Field(
        default=500, ge=0, description="Maximum number of open streams of one process; 0: streams are off"
    )

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
