"""A server that only holds long polls and sends events, with minimal load beside the measured client.

`python -m bench.long_poll.server --events 20` prints its address and serves until it is stopped.
"""

import argparse
import asyncio
import json
import random
import time

from aiohttp import web

from services.ingest.networks.vk.push.vk_push import SUPPORTED_EVENTS

KEY = "bench"
EVENTS = dict.fromkeys(SUPPORTED_EVENTS, 1)


class Polls:
    """Communities with their event counters, and the polls that wait for their events."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)
        self._ts: dict[int, int] = {}
        self._waiting: dict[int, asyncio.Future[None]] = {}
        self.answered = 0
        self.sent = 0

    async def get_server(self, request: web.Request) -> web.Response:
        """Respond to `groups.getLongPollServer`."""
        form = await request.post()
        group = int(str(form["group_id"]))
        ts = str(self._ts.setdefault(group, 1))
        base = f"{request.url.scheme}://{request.url.authority}"
        return web.json_response({"response": {"key": KEY, "server": f"{base}/whp/{group}", "ts": ts}})

    async def get_settings(self, _request: web.Request) -> web.Response:
        """Respond to `groups.getLongPollSettings`: all events are enabled."""
        return web.json_response({"response": {"is_enabled": True, "api_version": "5.199", "events": EVENTS}})

    async def check(self, request: web.Request) -> web.Response:
        """Respond to `a_check` with the events since `ts`, or with none after `wait` seconds."""
        group, since = int(request.match_info["group"]), int(request.query["ts"])
        self._ts.setdefault(group, 1)
        if self._ts[group] <= since:
            event = self._waiting[group] = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout(float(request.query["wait"])):
                    await event
            except TimeoutError:
                pass
        ts = self._ts[group]
        self.answered += 1
        updates = [_comment(group, number) for number in range(since, ts)]
        self.sent += len(updates)
        return web.json_response({"ts": str(ts), "updates": updates})

    async def emit_events(self, events_per_second: float) -> None:
        """Create events in random communities; a waiting poll of the community is answered immediately."""
        due = time.monotonic()
        while True:
            due += 1 / events_per_second
            await asyncio.sleep(max(due - time.monotonic(), 0))
            if not self._ts:
                continue
            group = self._rng.choice(list(self._ts))
            self._ts[group] += 1
            event = self._waiting.pop(group, None)
            if event is not None and not event.done():
                event.set_result(None)

    async def state(self, _request: web.Request) -> web.Response:
        """Respond with the numbers of communities that poll, and of responses and events until now."""
        return web.json_response({"listening": len(self._ts), "answered": self.answered, "events": self.sent})


def _comment(group: int, number: int) -> dict[str, object]:
    comment = {
        "id": number,
        "from_id": 700_000 + number % 5_000,
        "date": int(time.time()),
        "text": f"Когда починят свет на улице Ленина? Третий день сидим в темноте, обращение номер {number}.",
        "post_id": 1,
        "owner_id": -group,
        "post_owner_id": -group,
        "parents_stack": [],
        "thread": {"count": 0, "items": []},
    }
    event_id = f"{group:020x}{number:020x}"
    return {"type": "wall_reply_new", "group_id": group, "event_id": event_id, "v": "5.199", "object": comment}


async def serve(events_per_second: float, seed: int) -> None:
    """Serve on a free port of the loopback address until cancelled; the first line of output is the address."""
    polls = Polls(seed)
    app = web.Application()
    app.router.add_post("/method/groups.getLongPollServer", polls.get_server)
    app.router.add_post("/method/groups.getLongPollSettings", polls.get_settings)
    app.router.add_get("/whp/{group}", polls.check)
    app.router.add_get("/state", polls.state)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=4096)
    await site.start()
    host, port = runner.addresses[0][:2]
    print(json.dumps({"url": f"http://{host}:{port}"}), flush=True)
    await polls.emit_events(events_per_second)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=float, default=20)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    asyncio.run(serve(args.events, args.seed))
