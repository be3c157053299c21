"""Health of the whole system, aggregated from the readiness of each process."""

import asyncio
from collections.abc import Mapping
from time import monotonic
from typing import Any

import aiohttp

MEDIA_TYPE = "application/health+json"


class HealthCache:
    """Shares one aggregation between all requests: anybody may send them, and each aggregation costs a
    transaction in every process.
    """

    def __init__(
        self,
        http: aiohttp.ClientSession,
        processes: Mapping[str, str],
        *,
        timeout_seconds: float,
        fresh_seconds: float,
    ) -> None:
        self._http = http
        self._processes = processes
        self._timeout_seconds = timeout_seconds
        self._fresh_seconds = fresh_seconds
        self._document: dict[str, Any] | None = None
        self._due = 0.0
        self._lock = asyncio.Lock()

    async def document(self) -> dict[str, Any]:
        """Return the readiness of all processes; a result is reused for `fresh_seconds`."""
        async with self._lock:
            if self._document is None or monotonic() >= self._due:
                self._document = await aggregate_health(self._http, self._processes, self._timeout_seconds)
                self._due = monotonic() + self._fresh_seconds
            return self._document


async def aggregate_health(
    http: aiohttp.ClientSession, processes: Mapping[str, str], timeout_seconds: float
) -> dict[str, Any]:
    """Return the readiness of all processes, given by name and base URL.

    `status` is `fail` if a process fails or does not answer in time, otherwise `warn` if a process works without
    one of its dependencies.
    """
    answers = await asyncio.gather(*(_fetch_readiness(http, url, timeout_seconds) for url in processes.values()))
    named = list(zip(processes, answers, strict=True))
    checks = {f"{name}:ready": [answer] for name, answer in named}
    failed = [name for name, answer in named if answer["status"] == "fail"]
    warned = [name for name, answer in named if answer["status"] == "warn"]
    document: dict[str, Any] = {"status": "fail" if failed else "warn" if warned else "pass", "checks": checks}
    if failed:
        document["output"] = f"not ready: {', '.join(failed)}"
    elif warned:
        document["output"] = f"partly ready: {', '.join(warned)}"
    return document


async def _fetch_readiness(http: aiohttp.ClientSession, url: str, timeout_seconds: float) -> dict[str, Any]:
    try:
        timeout = aiohttp.ClientTimeout(total=timeout_seconds)
        async with http.get(f"{url}/health/ready", timeout=timeout) as response:
            body = await response.json(content_type=None)
    except TimeoutError:
        return {"componentType": "service", "status": "fail", "output": f"no answer within {timeout_seconds:g} s"}
    except (aiohttp.ClientError, OSError, ValueError):
        # The error text is not shown: it contains the service's internal address.
        return {"componentType": "service", "status": "fail", "output": "no connection"}
    status = body.get("status") if isinstance(body, dict) else None
    answer: dict[str, Any] = {
        "componentType": "service",
        "status": status if response.status == 200 and status in ("pass", "warn") else "fail",
    }
    if answer["status"] != "pass":
        failing = body.get("checks") if isinstance(body, dict) else None
        answer["output"] = ", ".join(failing) if failing else f"answered {response.status}"
    return answer
