"""A page of the running VK emulator, with its tokens."""

from dataclasses import dataclass
from typing import Any

from tests.support.emulator_process import EmulatorProcess
from tests.support.eventually import eventually

VERSION = "5.199"
LONG_THREAD = 23


@dataclass
class VkPage:
    """What a test needs to know of one page."""

    emulator: EmulatorProcess
    id: int
    group: str
    service: str
    user: str

    @classmethod
    async def open(cls, emulator: EmulatorProcess, screen_name: str = "school1") -> "VkPage":
        """The page of the name, made when it is not there."""
        page = await emulator.door("pages", {"name": "Школа № 1", "screen_name": screen_name})
        tokens = (await emulator.door("tokens"))["items"]
        group = next(item["token"] for item in tokens if item.get("page") == page["id"])
        kinds = {item["kind"]: item["token"] for item in tokens}
        return cls(emulator, page["id"], group, kinds["service"], kinds["user"])

    async def citizen(self, text: str, kind: str = "comment", **more: Any) -> dict[str, Any]:
        """A citizen writes on the page."""
        answer: dict[str, Any] = await self.emulator.door(
            "citizen", {"page": self.id, "kind": kind, "text": text, **more}
        )
        return answer

    async def long_thread(self) -> tuple[int, int]:
        """A comment with more replies than an answer carries; gives the post and the comment."""
        root = await self.citizen("Корень длинной ветки")
        for number in range(LONG_THREAD):
            await self.citizen(f"Ответ {number}", thread=root["thread"], in_reply_to=root["id"])
        return root["thread"], root["id"]

    async def api(self, method: str, token: str | None = None, **params: Any) -> dict[str, Any]:
        """One API call with a plain HTTP client; the whole body."""
        form = {"v": VERSION, "access_token": token or self.group, **params}
        async with self.emulator.http.post(f"/method/{method}", data=form) as response:
            assert response.status == 200
            assert response.headers["content-type"] == "application/json; charset=utf-8"
            body: dict[str, Any] = await response.json()
            return body

    async def poll(self, ts: str, wait: int = 0) -> dict[str, Any]:
        """One `a_check` from the given number."""
        server = (await self.api("groups.getLongPollServer", group_id=self.id))["response"]
        params = {"act": "a_check", "key": server["key"], "ts": ts, "wait": str(wait)}
        async with self.emulator.http.get(server["server"], params=params) as response:
            body: dict[str, Any] = await response.json()
            return body

    async def polls_held(self, count: int = 1) -> None:
        """Wait until this many calls of `a_check` wait for an event."""

        async def look() -> bool:
            return bool((await self.emulator.door("longpoll"))["held"] == count)

        await eventually(look, f"{count} held calls", every=0.02)

    async def ts(self) -> str:
        """Number of the last event."""
        answer = await self.api("groups.getLongPollServer", group_id=self.id)
        ts: str = answer["response"]["ts"]
        return ts
