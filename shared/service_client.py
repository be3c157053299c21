"""Commands between services: a 60-second token, an idempotency key, a timeout, a bounded retry."""

from typing import Any

import aiohttp
import stamina
from structlog.contextvars import get_contextvars

from shared.auth.tokens import SERVICE_TOKEN_LIFETIME, Signer, use_of
from shared.database.outages import Unavailable
from shared.logs import logger
from shared.settings import ServiceName, Settings

log = logger(__name__)

# Not of the command: a token that is not accepted (clocks or keys that differ for now), too many requests, or the
# same command under way.
_NOT_NOW = frozenset({401, 409, 429})
TIMEOUT = aiohttp.ClientTimeout(total=10, connect=2)


class ServiceUnavailable(Exception):  # noqa: N818
    """The other service did not answer, or said nothing of the command itself: worth another try."""


class ServiceAway(ServiceUnavailable, Unavailable):
    """Nobody took the request: the other service certainly did nothing."""


class ServiceRefused(Exception):  # noqa: N818
    """The other service understood and refused; `problem` is its problem document."""

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
        act: str,
        idempotency_key: str,
        attempts: int = 3,
        patience: aiohttp.ClientTimeout = TIMEOUT,
    ) -> dict[str, Any]:
        """Send a command for the person `act`; `patience` is that of one attempt.

        Raises `ServiceRefused` on a 4xx that is about the command, `ServiceUnavailable` when all attempts failed.
        """
        url = f"{self._settings.service_url(callee)}{path}"
        async for attempt in stamina.retry_context(
            on=ServiceUnavailable, attempts=attempts, timeout=30, wait_initial=0.2, wait_max=2
        ):
            with attempt:
                use = use_of("POST", path)
                token = self._signer.sign(self._name, callee, SERVICE_TOKEN_LIFETIME, act=act, use=use)
                headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": idempotency_key}
                if (request_id := get_contextvars().get("request_id")) is not None:
                    headers["X-Request-Id"] = request_id  # one id in the logs and the audit trail of both
                try:
                    async with self._http.post(url, json=body, headers=headers, timeout=patience) as response:
                        if response.status >= 500 or response.status in _NOT_NOW:
                            raise ServiceUnavailable(f"{callee} answered {response.status}")
                        answer: dict[str, Any] = await response.json(content_type=None)
                        if response.status >= 400:
                            raise ServiceRefused(response.status, answer)
                        return answer
                except aiohttp.ClientConnectorError as error:
                    raise ServiceAway(f"{callee}: {error!r}") from error
                except (aiohttp.ClientError, TimeoutError, ValueError) as error:
                    raise ServiceUnavailable(f"{callee}: {error!r}") from error
        raise AssertionError("unreachable: the retry either returns or raises")
