"""A page of the running VK emulator, with its tokens."""

from dataclasses import dataclass
from typing import Any

from tests.support.emulator_process import EmulatorProcess
from tests.support.eventually import eventually

VERSION = "5.199"
LONG_THREAD = 23


@dataclass
class VkPage:
    """A page, its tokens, and helpers to write and call methods."""

    emulator: EmulatorProcess
    id: int
    group: str
    service: str
    user: str

    @classmethod
    async def open(cls, emulator: EmulatorProcess, screen_name: str = "school1") -> "VkPage":
        """Return the page with this name; create it if it does not exist."""
        page = await emulator.control("pages", {"name": "Школа № 1", "screen_name": screen_name})
        tokens = (await emulator.control("tokens"))["items"]
        group = next(item["token"] for item in tokens if item.get("page") == page["id"])
        kinds = {item["kind"]: item["token"] for item in tokens}
        return cls(emulator, page["id"], group, kinds["service"], kinds["user"])

    async def citizen(self, text: str, kind: str = "comment", **more: Any) -> dict[str, Any]:
        """Write on the page as a citizen."""
        answer: dict[str, Any] = await self.emulator.control(
            "citizen", {"page": self.id, "kind": kind, "text": text, **more}
        )
        return answer

    async def long_thread(self) -> tuple[int, int]:
        """Write a comment with more replies than one response contains. Return the ids of post and comment."""
        root = await self.citizen("Корень длинной ветки")
        for number in range(LONG_THREAD):
            await self.citizen(f"Ответ {number}", thread=root["thread"], in_reply_to=root["id"])
        return root["thread"], root["id"]

    async def api(self, method: str, token: str | None = None, **params: Any) -> dict[str, Any]:
        """Call a method with a plain HTTP client and return the whole body."""
        form = {"v": VERSION, "access_token": token or self.group, **params}
        async with self.emulator.http.post(f"/method/{method}", data=form) as response:
            assert response.status == 200
            assert response.headers["content-type"] == "application/json; charset=utf-8"
            body: dict[str, Any] = await response.json()
            return body

    async def poll(self, ts: str, wait: int = 0) -> dict[str, Any]:
        """Call `a_check` from the given `ts`."""
        server = (await self.api("groups.getLongPollServer", group_id=self.id))["response"]
        params = {"act": "a_check", "key": server["key"], "ts": ts, "wait": str(wait)}
        async with self.emulator.http.get(server["server"], params=params) as response:
            body: dict[str, Any] = await response.json()
            return body

    async def polls_held(self, count: int = 1) -> None:
        """Wait until `count` calls of `a_check` are waiting for an event."""

        async def look() -> bool:
            return bool((await self.emulator.control("longpoll"))["held"] == count)

        await eventually(look, f"{count} held calls", every=0.02)

    async def ts(self) -> str:
        """Return the number of the last event."""
        answer = await self.api("groups.getLongPollServer", group_id=self.id)
        ts: str = answer["response"]["ts"]
        return ts
