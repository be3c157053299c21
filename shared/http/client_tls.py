"""TLS contexts: the certificates that this process trusts when it calls other systems."""

import ssl
from functools import lru_cache
from pathlib import Path

from shared.settings import settings


def client_tls() -> ssl.SSLContext:
    """Return the TLS context for all calls of this process to other systems."""
    return tls_trusting(settings().ca_bundle)


@lru_cache(maxsize=4)
def tls_trusting(ca_bundle: Path | None) -> ssl.SSLContext:
    """Return a TLS context that trusts the system's certificate authorities and those in this PEM file."""
    context = ssl.create_default_context()
    if ca_bundle is not None:
        context.load_verify_locations(cafile=ca_bundle)
    return context
