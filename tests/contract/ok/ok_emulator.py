"""The emulator of this network as a process, with what its tests write and call."""

from pathlib import Path
from typing import Any

from tests.support.emulator_process import EmulatorProcess


class OkProcess(EmulatorProcess):
    """`python -m emulators.ok`, one page that helpers write on, and the credentials for it."""

    def __init__(self, data: Path, **settings: object) -> None:
        super().__init__("ok", data, **settings)
        self.page = ""
        self.topic = ""
        self.bot = ""
        self.user: dict[str, Any] = {}

    async def open_page(self, name: str, screen_name: str) -> None:
        """Make a page the one that helpers write on."""
        self.page = (await self.door("pages", {"name": name, "screen_name": screen_name}))["id"]
        tokens = (await self.door("tokens"))["items"]
        self.user = next(token for token in tokens if token["kind"] == "user")
        self.bot = next(token["token"] for token in tokens if token.get("page") == self.page)
        self.topic = (await self.door("post", {"page": self.page, "text": "Новость страницы"}))["thread"]

    async def citizen(self, text: str, kind: str = "comment", **more: Any) -> dict[str, Any]:
        """A citizen writes on the page."""
        answer: dict[str, Any] = await self.door(
            "citizen", {"page": self.page, "kind": kind, "text": text, **more}
        )
        return answer

    async def comment_many(self, texts: list[str]) -> None:
        """One citizen's comment per text, through the CSV feed."""
        table = "text\n" + "\n".join(texts)
        async with self.http.post("/_control/feed", params={"kind": "comment"}, data=table.encode()) as response:
            assert (await response.json())["accepted"] == len(texts)

    async def graph(self, path: str, body: Any = None, **query: Any) -> Any:
        """A call of the page's bot."""
        params = {"access_token": self.bot, **query}
        method = "GET" if body is None else "POST"
        async with self.http.request(method, f"/graph/me/{path}", params=params, json=body) as response:
            assert response.status == 200
            return await response.json()
