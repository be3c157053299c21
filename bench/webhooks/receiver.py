"""A receiver that verifies signatures with the `standardwebhooks` package and counts valid deliveries.

`python -m bench.webhooks.receiver SECRET` prints its URL. `GET /verified?count=N` responds once N
deliveries with different paths or ids are verified.
"""

import asyncio
import json
import sys

from aiohttp import web
from standardwebhooks import Webhook

WAIT_SECONDS = 300.0


class Receiver:
    """Verifies deliveries and counts each once, even if it is repeated."""

    def __init__(self, secret: str) -> None:
        self._webhook = Webhook(secret)
        self._verified: set[tuple[str, str]] = set()
        self._changed = asyncio.Condition()

    async def deliver(self, request: web.Request) -> web.Response:
        """Verify a delivery; an invalid signature raises an error, so the response is 500."""
        self._webhook.verify(await request.read(), dict(request.headers))
        async with self._changed:
            self._verified.add((request.path, request.headers["webhook-id"]))
            self._changed.notify_all()
        return web.Response(status=204)

    async def verified(self, request: web.Request) -> web.Response:
        """Respond once `count` deliveries are verified."""
        count = int(request.query["count"])
        async with self._changed, asyncio.timeout(WAIT_SECONDS):
            await self._changed.wait_for(lambda: len(self._verified) >= count)
        return web.json_response({"verified": len(self._verified)})


async def serve(secret: str) -> None:
    """Serve on a free port of the loopback address until killed."""
    receiver, app = Receiver(secret), web.Application()
    app.router.add_post("/{name}", receiver.deliver)
    app.router.add_get("/verified", receiver.verified)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(json.dumps({"url": f"http://127.0.0.1:{runner.addresses[0][1]}"}), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1]))
