"""Settings of the gateway's public entry point: TLS, and the proxies in front of it."""

import ssl
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from cryptography import x509
from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared import clock
from shared.settings import CaBundle, ProxyNetworks


class EntryPointSettings(BaseSettings):
    """Settings from `GOSPABLIK_*`, read when Traefik's configuration is written."""

    model_config = SettingsConfigDict(env_prefix="GOSPABLIK_", extra="ignore")

    public_url: str = "http://127.0.0.1:8080"
    tls: Literal["off", "files", "acme"] = Field(
        default="off",
        description="`files`: HTTPS with `certificate.pem` and `key.pem` of the TLS folder; `acme`: with a "
        "certificate that the gateway fetches itself; `off`: plain HTTP, behind a proxy that has TLS",
    )
    tls_folder: Path = Field(default=Path("/tls"), description="Holds `certificate.pem` and `key.pem`")
    acme_email: str = Field(default="", description="Where the certificate authority writes to")
    acme_server: str = Field(
        default="https://acme-v02.api.letsencrypt.org/directory",
        description="ACME directory of the certificate authority",
    )
    acme_folder: Path = Field(default=Path("/acme"), description="Where the gateway keeps its ACME certificates")
    ca_bundle: CaBundle | None = Field(
        default=None, description="Authorities that are trusted besides the system's, for the ACME server"
    )
    hsts_seconds: int = Field(
        default=31_536_000,
        ge=0,
        description="For how many seconds after a response over HTTPS browsers refuse plain HTTP; 0: no HSTS",
    )
    trusted_proxies: ProxyNetworks = Field(
        default=(), description="Proxies in front of the gateway, whose `X-Forwarded-…` headers it accepts"
    )

    @field_validator("public_url")
    @classmethod
    def _validate_port(cls, value: str) -> str:
        _ = urlsplit(value).port  # raises ValueError for an invalid port
        return value

    @field_validator("ca_bundle", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return value or None

    @model_validator(mode="after")
    def _validate_tls(self) -> "EntryPointSettings":
        if self.tls == "off":
            return self
        address = urlsplit(self.public_url)
        if address.scheme != "https" or not address.hostname:
            raise ValueError(f"GOSPABLIK_PUBLIC_URL must be an https address if GOSPABLIK_TLS is {self.tls}")
        if self.tls == "acme" and not self.acme_email:
            raise ValueError("GOSPABLIK_ACME_EMAIL is required if GOSPABLIK_TLS is acme")
        if self.tls == "files":
            self._check_certificate()
        return self

    @property
    def certificate(self) -> Path:
        """Return the path of the file with the certificate, followed by those of its authorities."""
        return self.tls_folder / "certificate.pem"

    @property
    def key(self) -> Path:
        """Return the path of the file with the private key."""
        return self.tls_folder / "key.pem"

    def _check_certificate(self) -> None:
        # With an invalid file, Traefik would only log an error and serve a self-signed certificate.
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self.certificate, self.key)
        except OSError as error:  # also ssl.SSLError
            raise ValueError(
                f"GOSPABLIK_TLS is files, but {self.certificate} and {self.key} are not a certificate and its "
                f"private key, or cannot be read: {error}"
            ) from error
        expiry = x509.load_pem_x509_certificate(self.certificate.read_bytes()).not_valid_after_utc
        if expiry <= clock.now():
            raise ValueError(
                f"GOSPABLIK_TLS is files, but {self.certificate} expired at {expiry.isoformat()}: replace it"
            )
