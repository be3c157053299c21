"""A fake of appeals for ingest: serves attachments and checks the service token."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID, uuid4

from aiohttp import web
from aiohttp.test_utils import TestServer

from shared.auth import tokens

JPEG = b"\xff\xd8\xff\xe0 a photo of the mended road"


class PhotoServer:
    """Serves photos; the first `failures` requests get 503."""

    def __init__(self, keys_dir: Path) -> None:
        self._keys = tokens.read_key_set(keys_dir / "services.jwks")
        self.photos: dict[UUID, bytes] = {}
        self.failures = 0
        self.reads = 0
        self.on_behalf_of: set[str] = set()
        self.url = ""

    def add(self, content: bytes = JPEG) -> UUID:
        """Add a photo; return its id."""
        photo = uuid4()
        self.photos[photo] = content + photo.bytes
        return photo

    async def handle(self, request: web.Request) -> web.Response:
        """Respond to one request for a photo."""
        self.reads += 1
        claims = tokens.verify(
            request.headers["Authorization"].removeprefix("Bearer "),
            self._keys,
            audience="appeals",
            issuer="ingest",
        )
        assert claims["use"] == tokens.route_claim("GET", request.path)
        self.on_behalf_of.add(claims["act"])
        if self.failures:
            self.failures -= 1
            return web.Response(status=503)
        content = self.photos.get(UUID(request.match_info["photo"]))
        if content is None:
            return web.json_response({"detail": "No such attachment"}, status=404)
        return web.Response(body=content, content_type="image/jpeg")


@asynccontextmanager
async def photo_server(keys_dir: Path) -> AsyncIterator[PhotoServer]:
    """Run the server on a free port."""
    photos = PhotoServer(keys_dir)
    app = web.Application()
    app.router.add_get("/internal/attachments/{photo}", photos.handle)
    server = TestServer(app, host="127.0.0.1")
    await server.start_server()
    photos.url = str(server.make_url("")).rstrip("/")
    try:
        yield photos
    finally:
        await server.close()
