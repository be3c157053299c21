"""Settings of all processes; a service adds its own in `services/<name>/settings.py`."""

import os
import ssl
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from cryptography.fernet import Fernet
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SecretsSettingsSource,
    SettingsConfigDict,
)

from shared.log_levels import LogLevel
from shared.networks import NETWORKS

# 128 bits in base64; `gospablik generate-env` generates longer keys.
MIN_KEY_LENGTH = 22
MIN_DISTINCT_CHARACTERS = 8
_HINT = "`gospablik generate-env` generates valid keys"


def _validate_strong_key(key: SecretStr) -> SecretStr:
    value = key.get_secret_value()
    if len(value.strip()) < MIN_KEY_LENGTH:
        raise ValueError(f"a key must have at least {MIN_KEY_LENGTH} random characters; {_HINT}")
    if len(set(value)) < MIN_DISTINCT_CHARACTERS:
        raise ValueError(f"a key must have at least {MIN_DISTINCT_CHARACTERS} different characters; {_HINT}")
    return key


def _validate_fernet_keys(keys: SecretStr) -> SecretStr:
    found = [key.strip() for key in keys.get_secret_value().split(",") if key.strip()]
    if not found:
        raise ValueError(f"at least one key is needed; {_HINT}")
    for key in found:
        try:
            Fernet(key)
        except ValueError as error:
            raise ValueError(
                f"each key must be a Fernet key: 32 random bytes as URL-safe base64; {_HINT}"
            ) from error
        if len(set(key)) < MIN_DISTINCT_CHARACTERS:
            raise ValueError(f"a key must have at least {MIN_DISTINCT_CHARACTERS} different characters; {_HINT}")
    return SecretStr(",".join(found))


def _parse_notices_pages(value: object) -> object:
    if not isinstance(value, str):
        return value
    pages = [tuple(part.strip().split(":", 1)) for part in value.split(",") if part.strip()]
    if any(len(page) != 2 or page[0] not in NETWORKS for page in pages):
        raise ValueError("expected pages such as vk:101,ok:55")
    if len({page[0] for page in pages}) < len(pages):
        raise ValueError("give at most one page of each network")
    return tuple(pages)


# Pages that send notices as direct messages, by network and the page's id there. Webhooks links accounts by the
# codes that people write to these pages, and appeals opens no appeal for such a code: both read the same variable.
NoticesPages = Annotated[tuple[tuple[str, str], ...], NoDecode, BeforeValidator(_parse_notices_pages)]


def _parse_ip_networks(value: object) -> object:
    if not isinstance(value, str):
        return value
    return tuple(ip_network(part.strip()) for part in value.split(",") if part.strip())


def _refuse_all_addresses(
    networks: tuple[IPv4Network | IPv6Network, ...],
) -> tuple[IPv4Network | IPv6Network, ...]:
    for network in networks:
        if network.prefixlen == 0:
            raise ValueError(f"{network} contains all addresses, also of clients: list only the proxies")
    return networks


def _validate_authorities(path: Path) -> Path:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=path)
    except OSError as error:  # also ssl.SSLError
        raise ValueError(f"no certificates in PEM can be read from {path}: {error}") from error
    return path


# A PEM file with certificate authorities.
CaBundle = Annotated[Path, AfterValidator(_validate_authorities)]
# Addresses and networks (CIDR), separated by commas.
IpNetworks = Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode, BeforeValidator(_parse_ip_networks)]
# Proxies that are trusted to report the client's address.
ProxyNetworks = Annotated[IpNetworks, AfterValidator(_refuse_all_addresses)]
# A secret for signatures or digests.
StrongKey = Annotated[SecretStr, AfterValidator(_validate_strong_key)]
# Fernet keys, newest first, separated by commas.
FernetKeys = Annotated[SecretStr, AfterValidator(_validate_fernet_keys)]

ServiceName = Literal["registry", "ingest", "appeals", "metrics", "webhooks", "console"]


class SecretsFolderError(ValueError):
    """The configured folder of secret files does not exist."""


def secrets_folder() -> Path | None:
    """Return the folder of secret files, None if there is none; by default where Compose and Kubernetes mount it.

    Raise SecretsFolderError if GOSPABLIK_SECRETS_DIR names a folder that does not exist.
    """
    named = os.environ.get("GOSPABLIK_SECRETS_DIR")
    folder = Path(named or "/run/secrets")
    if folder.is_dir():
        return folder
    if named:
        raise SecretsFolderError(f"GOSPABLIK_SECRETS_DIR: {folder} is not a folder, or cannot be read")
    return None


class SecretFileSettings(BaseSettings):
    """Settings whose values may also be in files named like their variables, such as
    `/run/secrets/GOSPABLIK_CURSOR_KEY`.

    A file takes precedence over a variable.
    """

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the sources of values, in order of precedence."""
        usual = (env_settings, dotenv_settings, file_secret_settings)
        if (folder := secrets_folder()) is None:
            return init_settings, *usual
        return init_settings, SecretsSettingsSource(settings_cls, secrets_dir=folder), *usual


class Settings(SecretFileSettings):
    """Read from `GOSPABLIK_*`; a missing required value stops the process with an error that names the field."""

    model_config = SettingsConfigDict(env_prefix="GOSPABLIK_", extra="ignore", hide_input_in_errors=True)

    environment: Literal["embedded", "production"] = "production"
    database_url: SecretStr
    database_direct_url: SecretStr | None = Field(
        default=None, description="Session-level connection for LISTEN, jobs and migrations behind a pooler"
    )
    keys_dir: Path
    cursor_key: StrongKey = Field(description="Signs list cursors and fingerprints of requests")
    audit_key: StrongKey = Field(description="Key of the digests that replace texts and names in the audit trail")
    host: str = "127.0.0.1"
    port: int = 8000
    public_url: str = "http://127.0.0.1:8080"
    registry_url: str = "http://127.0.0.1:8101"
    ingest_url: str = "http://127.0.0.1:8102"
    appeals_url: str = "http://127.0.0.1:8103"
    metrics_url: str = "http://127.0.0.1:8104"
    webhooks_url: str = "http://127.0.0.1:8105"
    console_url: str = "http://127.0.0.1:8106"
    gateway_networks: str = Field(
        default="127.0.0.0/8,::1/128,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,fc00::/7",
        description="Networks of the gateway, comma-separated: the client's address is trusted only from these",
    )
    trusted_proxies: ProxyNetworks = Field(
        default=(),
        description="Proxies in front of the gateway, comma-separated: the client's address is the last one in "
        "`X-Forwarded-For` that is not one of these",
    )
    ca_bundle: CaBundle | None = Field(
        default=None,
        description="PEM file with certificate authorities that are trusted besides the machine's own",
    )
    clock_shift_seconds: float = Field(
        default=0.0, description="Shifts this process's clock; tests give all processes the same shift"
    )
    max_body_bytes: int = Field(
        default=1024 * 1024, gt=0, description="Largest request body, except on paths for files"
    )
    requests_per_minute: int = Field(
        default=12_000, ge=1, description="Requests of one caller per minute that a process accepts"
    )
    statement_timeout_seconds: float = Field(
        default=20, gt=0, description="Maximum duration of a statement of a read request in the database"
    )
    log_level: LogLevel = "INFO"
    oidc_issuer: str | None = Field(
        default=None, description="The region's own OIDC issuer, exactly as its tokens name it; empty: none"
    )
    oidc_audience: str | None = Field(default=None, description="The audience that its access tokens must have")
    oidc_subject_claim: str = Field(
        default="sub",
        description="The claim that permanently identifies a person, as in `people.external_subject`",
    )
    oidc_client_id: str | None = Field(default=None, description="The region's front end at that issuer")
    password_sign_in: bool = Field(default=True, description="Whether people may sign in with a password here")

    @field_validator(
        "oidc_issuer", "oidc_audience", "oidc_client_id", "ca_bundle", "database_direct_url", mode="before"
    )
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return value or None

    @field_validator("gateway_networks")
    @classmethod
    def _validate_networks(cls, value: str) -> str:
        for part in value.split(","):
            if part.strip():
                ip_network(part.strip())
        return value

    @model_validator(mode="after")
    def _validate_clock(self) -> "Settings":
        if self.clock_shift_seconds and not self.embedded:
            raise ValueError("clock_shift_seconds is for tests: deadlines would be wrong in production")
        return self

    @model_validator(mode="after")
    def _validate_issuer(self) -> "Settings":
        if self.oidc_issuer is None:
            return self
        if self.oidc_audience is None:
            raise ValueError("oidc_issuer requires oidc_audience: tokens for other systems must not be accepted")
        if urlsplit(self.oidc_issuer).scheme not in ({"https", "http"} if self.embedded else {"https"}):
            raise ValueError("oidc_issuer must be an https address")
        return self

    @property
    def embedded(self) -> bool:
        """Return whether this is the embedded run."""
        return self.environment == "embedded"

    @property
    def direct_url(self) -> str:
        """Return the database URL for LISTEN, jobs and migrations."""
        return (self.database_direct_url or self.database_url).get_secret_value()

    def service_url(self, name: ServiceName) -> str:
        """Return the internal base URL of a service."""
        return str(getattr(self, f"{name}_url"))


@lru_cache
def settings() -> Settings:
    """Return the settings of the process, read once."""
    return Settings()
