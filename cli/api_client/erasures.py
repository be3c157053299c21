"""Erase citizens' personal data through the API, print the records, and repeat them after a restore."""

import asyncio
import json
from pathlib import Path
from typing import Any

from cli.api_client.client import ApiClient, ApiError, Connection, signed_in

POLL_SECONDS = 1.0
# The fields of a record that are sent to repeat its erasure.
_REPEATED = ("author_digest", "ground", "reference", "until")


async def erase(
    connection: Connection,
    *,
    author_key: str | None,
    appeal: int | None,
    message_id: str | None,
    ground: str,
    reference: str,
) -> int:
    """Erase the personal data of one author and return the exit code.

    The author is given by the key, the number of an appeal or the id of a message.
    """
    async with signed_in(connection) as client:
        key = author_key or await _find_author(client, appeal, message_id)
        _, erasure = await client.post(f"/authors/{key}/erasure", {"ground": ground, "reference": reference})
        return await _follow(client, erasure)


async def print_erasures(connection: Connection) -> int:
    """Print the records of all erasures as JSON lines, newest first. Return the exit code."""
    async with signed_in(connection) as client:
        async for erasure in client.items("/erasures"):
            print(json.dumps(erasure, ensure_ascii=False))
    return 0


async def repeat(connection: Connection, path: Path) -> int:
    """Repeat the erasures recorded in a file, oldest first. Return the exit code."""
    records = _read_records(path)
    code = 0
    async with signed_in(connection) as client:
        for record in sorted(records, key=lambda one: str(one["until"])):
            _, erasure = await client.post("/erasures", {name: record[name] for name in _REPEATED})
            code = max(code, await _follow(client, erasure))
    return code


def _read_records(path: Path) -> list[dict[str, Any]]:
    records = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            records.append({name: record[name] for name in _REPEATED})
        except (ValueError, KeyError, TypeError) as error:
            raise ApiError(f"Line {number} of {path} is not a `gospablik erasures` record: {error!r}") from error
    return records


async def _find_author(client: ApiClient, appeal: int | None, message_id: str | None) -> str:
    if message_id is None:
        message_id = await _first_message(client, appeal)
    found: str | None = (await client.get(f"/messages/{message_id}"))["author_key"]
    if found is None:
        raise ApiError("The page itself wrote this message: give the id of a citizen's message")
    return found


async def _first_message(client: ApiClient, appeal: int | None) -> str:
    found = (await client.get("/appeals", number=appeal))["items"]
    if not found:
        raise ApiError(f"No such appeal: number {appeal}")
    messages = (await client.get(f"/appeals/{found[0]['id']}"))["messages"]
    if not messages:
        raise ApiError("The appeal did not come from a network, so the system does not know its author")
    first: str = messages[0]["id"]
    return first


async def _follow(client: ApiClient, erasure: dict[str, Any]) -> int:
    while erasure["status"] not in {"done", "failed"}:
        await asyncio.sleep(POLL_SECONDS)
        erasure = await client.get(f"/erasures/{erasure['id']}")
    print(json.dumps(erasure, ensure_ascii=False))
    return 0 if erasure["status"] == "done" else 1
