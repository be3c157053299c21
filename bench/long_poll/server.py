"""A network that only holds long polls and rings them: as little work as possible beside what is measured.

`python -m bench.long_poll.server --events 20` prints its address and serves until it is ended.
"""

import argparse
import asyncio
import json
import random
import time

from aiohttp import web

KEY = "bench"


class Polls:
    """Communities with their event counters, and the polls that wait for them."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._ts: dict[int, int] = {}
        self._waiting: dict[int, asyncio.Future[None]] = {}
        self.answered = 0
        self.sent = 0

    async def server(self, request: web.Request) -> web.Response:
        """groups.getLongPollServer, as protocol section 6 gives it."""
        form = await request.post()
        group = int(str(form["group_id"]))
        ts = str(self._ts.setdefault(group, 1))
        base = f"{request.url.scheme}://{request.url.authority}"
        return web.json_response({"response": {"key": KEY, "server": f"{base}/whp/{group}", "ts": ts}})

    async def check(self, request: web.Request) -> web.Response:
        """a_check: answers with one event when there is one, else empty after `wait` seconds."""
        group, since = int(request.match_info["group"]), int(request.query["ts"])
        self._ts.setdefault(group, 1)
        if self._ts[group] <= since:
            bell = self._waiting[group] = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout(float(request.query["wait"])):
                    await bell
            except TimeoutError:
                pass
        ts = self._ts[group]
        self.answered += 1
        updates = [_comment(group, number) for number in range(since, ts)]
        self.sent += len(updates)
        return web.json_response({"ts": str(ts), "updates": updates})

    async def ring(self, events_a_second: float) -> None:
        """Events in random communities among those that listen."""
        due = time.monotonic()
        while True:
            due += 1 / events_a_second
            await asyncio.sleep(max(due - time.monotonic(), 0))
            if not self._ts:
                continue
            group = self._chance.choice(list(self._ts))
            self._ts[group] += 1
            bell = self._waiting.pop(group, None)
            if bell is not None and not bell.done():
                bell.set_result(None)

    async def state(self, _request: web.Request) -> web.Response:
        """How many communities listen, and what was answered so far."""
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


async def serve(events_a_second: float, seed: int) -> None:
    """Serve on a free port of the loopback until cancelled; the first line of output is the address."""
    polls = Polls(seed)
    app = web.Application()
    app.router.add_post("/method/groups.getLongPollServer", polls.server)
    app.router.add_get("/whp/{group}", polls.check)
    app.router.add_get("/state", polls.state)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=4096)
    await site.start()
    host, port = runner.addresses[0][:2]
    print(json.dumps({"url": f"http://{host}:{port}"}), flush=True)
    await polls.ring(events_a_second)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=float, default=20)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    asyncio.run(serve(asked.events, asked.seed))
