"""Commands and reads between services: a 60-second token, an idempotency key, a timeout, a bounded retry."""

from typing import Any

import aiohttp
import stamina
from structlog.contextvars import get_contextvars

from shared.auth.tokens import SERVICE_TOKEN_LIFETIME, Signer, route_claim
from shared.database.outages import DependencyUnavailable
from shared.logs import get_logger
from shared.settings import ServiceName, Settings

log = get_logger(__name__)

# Statuses after which a retry may succeed: a refused token (clocks or keys differ temporarily), the rate limit, or
# the same command in progress.
_RETRYABLE_STATUSES = frozenset({401, 409, 429})
DEFAULT_CALL_TIMEOUT = aiohttp.ClientTimeout(total=10, connect=2)
FILE_TIMEOUT = aiohttp.ClientTimeout(total=30, connect=2)


class ServiceUnavailable(Exception):  # noqa: N818
    """The other service did not respond, or did not process the command, which can be retried."""


class FileTooLarge(ServiceUnavailable):
    """The file of the other service is larger than `max_bytes`."""


class ServiceUnreachable(ServiceUnavailable, DependencyUnavailable):
    """The connection failed: the other service has certainly not processed the request."""


class ServiceRejected(Exception):  # noqa: N818
    """The other service rejected the command; `problem` is its problem document."""

    def __init__(self, status: int, problem: dict[str, Any]) -> None:
        super().__init__(f"{status}: {problem.get('detail', '')}")
        self.status = status
        self.problem = problem


class ServiceClient:
    """Calls other services' `/internal` routes as this service."""

    def __init__(self, name: str, signer: Signer, settings: Settings, http: aiohttp.ClientSession) -> None:
        self._name = name
        self._signer = signer
        self._settings = settings
        self._http = http

    async def post(
        self,
        callee: ServiceName,
        path: str,
        body: dict[str, Any],
        *,
        on_behalf_of: str,
        idempotency_key: str,
        attempts: int = 3,
        call_timeout: aiohttp.ClientTimeout = DEFAULT_CALL_TIMEOUT,
    ) -> dict[str, Any]:
        """Send a command on behalf of a person and return the response; `call_timeout` applies to each attempt.

        Raise `ServiceRejected` for a 4xx that concerns the command, `ServiceUnavailable` if all attempts failed.
        """
        url = f"{self._settings.service_url(callee)}{path}"
        async for attempt in stamina.retry_context(
            on=ServiceUnavailable, attempts=attempts, timeout=30, wait_initial=0.2, wait_max=2
        ):
            with attempt:
                headers = self._headers(callee, "POST", path, on_behalf_of) | {"Idempotency-Key": idempotency_key}
                try:
                    async with self._http.post(url, json=body, headers=headers, timeout=call_timeout) as response:
                        if response.status >= 500 or response.status in _RETRYABLE_STATUSES:
                            raise ServiceUnavailable(f"{callee} responded with status {response.status}")
                        answer: dict[str, Any] = await response.json(content_type=None)
                        if response.status >= 400:
                            raise ServiceRejected(response.status, answer)
                        return answer
                except aiohttp.ClientConnectorError as error:
                    raise ServiceUnreachable(f"{callee}: {error!r}") from error
                except (aiohttp.ClientError, TimeoutError, ValueError) as error:
                    raise ServiceUnavailable(f"{callee}: {error!r}") from error
        raise AssertionError("unreachable: the retry either returns or raises")

    async def get_file(
        self,
        callee: ServiceName,
        path: str,
        *,
        on_behalf_of: str,
        max_bytes: int,
        attempts: int = 3,
        call_timeout: aiohttp.ClientTimeout = FILE_TIMEOUT,
    ) -> bytes:
        """Return a file of another service, of at most `max_bytes`; `call_timeout` applies to each attempt.

        Raise `ServiceRejected` for a 4xx that concerns the file, `ServiceUnavailable` if all attempts failed,
        `FileTooLarge` at once if the file is larger.
        """
        url = f"{self._settings.service_url(callee)}{path}"
        async for attempt in stamina.retry_context(
            on=_may_pass, attempts=attempts, timeout=60, wait_initial=0.2, wait_max=2
        ):
            with attempt:
                headers = self._headers(callee, "GET", path, on_behalf_of)
                try:
                    async with self._http.get(url, headers=headers, timeout=call_timeout) as response:
                        if response.status >= 500 or response.status in _RETRYABLE_STATUSES:
                            raise ServiceUnavailable(f"{callee} responded with status {response.status}")
                        if response.status >= 400:
                            raise ServiceRejected(response.status, await response.json(content_type=None))
                        if (content := await _read_at_most(response, max_bytes)) is None:
                            raise FileTooLarge(f"{callee} responded with more than {max_bytes} bytes")
                        return content
                except aiohttp.ClientConnectorError as error:
                    raise ServiceUnreachable(f"{callee}: {error!r}") from error
                except (aiohttp.ClientError, TimeoutError, ValueError) as error:
                    raise ServiceUnavailable(f"{callee}: {error!r}") from error
        raise AssertionError("unreachable: the retry either returns or raises")

    def _headers(self, callee: ServiceName, method: str, path: str, on_behalf_of: str) -> dict[str, str]:
        use = route_claim(method, path)
        token = self._signer.sign(self._name, callee, SERVICE_TOKEN_LIFETIME, act=on_behalf_of, use=use)
        headers = {"Authorization": f"Bearer {token}"}
        if (request_id := get_contextvars().get("request_id")) is not None:
            headers["X-Request-Id"] = request_id  # logs and audit rows of both services share it
        return headers


async def _read_at_most(response: aiohttp.ClientResponse, max_bytes: int) -> bytes | None:
    """Return the body; None if it is longer than allowed. A chunked response does not announce its length."""
    if (response.content_length or 0) > max_bytes:
        return None
    content = bytearray()
    async for part in response.content.iter_any():
        content += part
        if len(content) > max_bytes:
            return None
    return bytes(content)


def _may_pass(error: Exception) -> bool:
    """Return whether another attempt may succeed after this error."""
    return isinstance(error, ServiceUnavailable) and not isinstance(error, FileTooLarge)
