"""Health of the whole system, aggregated from the readiness of each service."""

import asyncio
from collections.abc import Mapping
from typing import Any

import aiohttp

MEDIA_TYPE = "application/health+json"


async def aggregate_health(
    http: aiohttp.ClientSession, services: Mapping[str, str], timeout_seconds: float
) -> dict[str, Any]:
    """Return the readiness of all services; `status` is `fail` when one fails or does not answer in time."""
    answers = await asyncio.gather(*(_fetch_readiness(http, url, timeout_seconds) for url in services.values()))
    checks = {f"{name}:ready": [answer] for name, answer in zip(services, answers, strict=True)}
    failed = [name for name, answer in zip(services, answers, strict=True) if answer["status"] != "pass"]
    document: dict[str, Any] = {"status": "fail" if failed else "pass", "checks": checks}
    if failed:
        document["output"] = f"not ready: {', '.join(failed)}"
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
        "status": "pass" if response.status == 200 and status == "pass" else "fail",
    }
    if answer["status"] == "fail":
        failing = body.get("checks") if isinstance(body, dict) else None
        answer["output"] = ", ".join(failing) if failing else f"answered {response.status}"
    return answer
