"""Resolution of host names of receivers and networks: any number at a time, each within a few seconds.

The system's resolver takes a thread for each name. Names whose servers do not answer would occupy all threads, and
delay deliveries to every other receiver, and whatever needs a thread, such as new connections to the database.
"""

import asyncio
import errno
import re
import socket
from collections.abc import Sequence

import aiohttp
from aiodns import error as dns_errors
from aiohttp.abc import AbstractResolver, ResolveResult

# The limit of one resolution, shorter than the five seconds in which an attempt must be connected.
LIMIT_SECONDS = 4.0
# The timeout of a try while c-ares has not measured the servers. Then c-ares derives it from their latency (at
# least 0.25 s) and doubles it for repeated tries: with one try, a slower name than usual would not be found.
_WAIT_SECONDS = 1.0
_TRIES = 4
# No name server could be reached: there is none, or no free socket, file or memory. Any answer, even a failure or
# a refusal, and the lack of one may be due to the receiver's own servers.
_OWN_FAULTS = frozenset({dns_errors.ARES_ECONNREFUSED, dns_errors.ARES_EFILE, dns_errors.ARES_ENOMEM})
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9a-fA-F]*")


class HostResolver(AbstractResolver):
    """Resolves host names through c-ares, from the files and name servers of the system, without threads.

    `nameservers` are used instead of the system's, each as `address:port`.
    """

    def __init__(self, nameservers: Sequence[str] | None = None) -> None:
        self._dns = aiohttp.AsyncResolver(timeout=_WAIT_SECONDS, tries=_TRIES, nameservers=nameservers)
        self._system = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses of the host. Raise `OSError` if there are none or the servers do not answer.

        Its `errno` is `ENETDOWN` if no server could be reached, whatever the host.
        """
        if _NUMBER.fullmatch(host.rstrip(".").rpartition(".")[2]):
            # Such as 0177.0.0.1, which libraries read in different ways; no top-level domain is a number.
            raise OSError(None, "the host is neither a name nor a plain address")
        if host.rstrip(".").lower() == "localhost":
            # c-ares always returns an IPv6 address for it too; the system reads its hosts file and sends no query.
            return await self._system.resolve("localhost", port, family)
        try:
            async with asyncio.timeout(LIMIT_SECONDS):
                return await self._dns.resolve(host, port, family)
        except TimeoutError as error:
            raise OSError(None, f"no answer from the name servers within {LIMIT_SECONDS:g} s") from error
        except OSError as error:
            cause = error.__cause__
            if isinstance(cause, dns_errors.DNSError) and cause.args[0] in _OWN_FAULTS:
                raise OSError(errno.ENETDOWN, f"the name servers cannot be reached: {error.strerror}") from cause
            raise

    async def close(self) -> None:
        """End the resolutions that are under way, and free the sockets."""
        await self._dns.close()
