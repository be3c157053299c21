"""A body as it was received, for a route that must verify it before it is parsed."""

from dataclasses import dataclass

from fastapi import Request
from pydantic import BaseModel


@dataclass(frozen=True)
class RawBody:
    """A dependency that returns the bytes of the body. The OpenAPI document describes them as `model`."""

    model: type[BaseModel]

    async def __call__(self, request: Request) -> bytes:
        """Return the body."""
        return await request.body()
