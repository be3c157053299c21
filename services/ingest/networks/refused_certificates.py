"""Certificates of the networks that this process does not accept: calls wait as in an outage, until a person acts.

An expired certificate, a wrong clock or a missing authority (`GOSPABLIK_CA_BUNDLE`) does not end by itself. The
cause is logged as an error, and `/health/ready` warns of it.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

import aiohttp

from shared import clock
from shared.database.outages import DependencyUnavailable
from shared.logs import get_logger
from shared.service import Service

log = get_logger(__name__)

LOGGED_EVERY = timedelta(minutes=1)
# Longer than the longest pause between two calls in an outage.
SHOWN_FOR = timedelta(minutes=10)


@dataclass
class _Refused:
    reason: str
    since: datetime
    last_at: datetime
    logged_at: datetime


_refused: dict[str, _Refused] = {}


def record_refused_certificate(network: str, error: aiohttp.ClientConnectorCertificateError) -> str:
    """Record that a host's certificate was not accepted, log it once a minute, and return host and reason."""
    now = clock.now()
    reason = _reason(error)
    _forget(now)
    found = _refused.get(error.host)
    if found is None or found.reason != reason or found.logged_at <= now - LOGGED_EVERY:
        log.error("certificate of a network not accepted", network=network, host=error.host, reason=reason)
        since = now if found is None else found.since
        _refused[error.host] = _Refused(reason, since, now, now)
    else:
        found.last_at = now
    return f"the certificate of {error.host} is not accepted: {reason}"


async def check_certificates(_service: Service) -> None:
    """Raise `DependencyUnavailable` if this process refused a certificate within the last `SHOWN_FOR`."""
    _forget(clock.now())
    if _refused:
        parts = [f"{host} since {one.since:%Y-%m-%d %H:%M} UTC: {one.reason}" for host, one in _refused.items()]
        hint = "check our clock, GOSPABLIK_CA_BUNDLE and the certificate"
        raise DependencyUnavailable(f"certificates not accepted: {'; '.join(parts)}; {hint}")


def _reason(error: aiohttp.ClientConnectorCertificateError) -> str:
    cause = error.certificate_error
    return str(getattr(cause, "verify_message", "") or cause)[:300]


def _forget(now: datetime) -> None:
    for host in [host for host, one in _refused.items() if one.last_at <= now - SHOWN_FOR]:
        del _refused[host]
