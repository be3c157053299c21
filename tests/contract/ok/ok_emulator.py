"""The OK emulator as a process, with helpers to write and call methods."""

from pathlib import Path
from typing import Any

from tests.support.emulator_process import EmulatorProcess


class OkProcess(EmulatorProcess):
    """The process `python -m emulators.ok`, the page that helpers write on, and tokens."""

    def __init__(self, data: Path, **settings: object) -> None:
        super().__init__("ok", data, **settings)
        self.page = ""
        self.topic = ""
        self.bot = ""
        self.user: dict[str, Any] = {}

    async def open_page(self, name: str, screen_name: str) -> None:
        """Create the page, or find it, and use it in the helpers."""
        self.page = (await self.control("pages", {"name": name, "screen_name": screen_name}))["id"]
        tokens = (await self.control("tokens"))["items"]
        self.user = next(token for token in tokens if token["kind"] == "user")
        self.bot = next(token["token"] for token in tokens if token.get("page") == self.page)
        self.topic = (await self.control("post", {"page": self.page, "text": "Новость страницы"}))["thread"]

    async def citizen(self, text: str, kind: str = "comment", **more: Any) -> dict[str, Any]:
        """Write on the page as a citizen."""
        answer: dict[str, Any] = await self.control(
            "citizen", {"page": self.page, "kind": kind, "text": text, **more}
        )
        return answer

    async def comment_many(self, texts: list[str]) -> None:
        """Write one comment per text through the CSV feed."""
        table = "text\n" + "\n".join(texts)
        async with self.http.post("/_control/feed", params={"kind": "comment"}, data=table.encode()) as response:
            assert (await response.json())["accepted"] == len(texts)

    async def graph(self, path: str, body: Any = None, **query: Any) -> Any:
        """Call a method of the bot API as the page."""
        params = {"access_token": self.bot, **query}
        method = "GET" if body is None else "POST"
        async with self.http.request(method, f"/graph/me/{path}", params=params, json=body) as response:
            assert response.status == 200
            return await response.json()
