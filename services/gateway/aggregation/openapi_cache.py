"""Cache of the services' OpenAPI documents. If a service is down, its last document is kept."""

import asyncio
import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp

from services.gateway.aggregation.openapi_merge import OpenApiDocument, merge_documents
from shared.logs import get_logger

log = get_logger(__name__)

# A service builds its document on the first request, which takes up to three seconds, longer on a busy machine.
_FETCH_SECONDS = 10.0
_RETRY_SECONDS = 2.0


@dataclass(frozen=True)
class MergedDocument:
    """The merged document as the body of a response, with its ETag."""

    body: bytes
    etag: str


class OpenApiCache:
    """Caches the services' documents and the document merged from them."""

    def __init__(self, http: aiohttp.ClientSession, services: Mapping[str, str], fresh_seconds: float) -> None:
        self._http = http
        self._services = services
        self._fresh_seconds = fresh_seconds
        self._known: dict[str, OpenApiDocument] = {}
        self._published: MergedDocument | None = None
        self._due = 0.0
        self._lock = asyncio.Lock()

    async def merged_document(self, own: OpenApiDocument) -> MergedDocument:
        """Return the merged document, at most `fresh_seconds` old while the services respond."""
        async with self._lock:
            if self._published is None or time.monotonic() >= self._due:
                complete = await self._refresh()
                missing = [name for name in self._services if name not in self._known]
                in_order = {name: self._known[name] for name in self._services if name in self._known}
                body = json.dumps(merge_documents(in_order, own, missing=missing), ensure_ascii=False).encode()
                self._published = MergedDocument(body, f'"{hashlib.sha256(body).hexdigest()[:32]}"')
                self._due = time.monotonic() + (self._fresh_seconds if complete else _RETRY_SECONDS)
            return self._published

    async def _refresh(self) -> bool:
        fetched = await asyncio.gather(*(self._fetch(name, url) for name, url in self._services.items()))
        self._known |= {name: document for name, document in fetched if document is not None}
        return all(document is not None for _, document in fetched)

    async def _fetch(self, name: str, url: str) -> tuple[str, OpenApiDocument | None]:
        try:
            timeout = aiohttp.ClientTimeout(total=_FETCH_SECONDS)
            async with self._http.get(f"{url}/openapi.json", timeout=timeout) as response:
                response.raise_for_status()
                document = await response.json(content_type=None)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            log.warning("OpenAPI document could not be fetched", callee=name, error=type(error).__name__)
            return name, None
        if not isinstance(document, dict) or "paths" not in document:
            log.warning("response is not an OpenAPI document", callee=name)
            return name, None
        return name, document
