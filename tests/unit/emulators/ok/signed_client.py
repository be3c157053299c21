"""A caller of the emulator that signs for itself, independently of the emulator's own code."""

from hashlib import md5
from typing import Any

import httpx

from emulators.ok.state.network_state import OkState


class Network:
    """Both doors of the network, with the credentials of its only administrator."""

    def __init__(self, http: httpx.AsyncClient, world: OkState) -> None:
        self.http = http
        self.world = world
        self.page = ""
        self.topic = ""
        self.bot = ""
        self.user: dict[str, Any] = {}

    async def open_page(self, name: str, screen_name: str) -> None:
        """Make a page the one that calls go to."""
        self.page = (await self.door("pages", {"name": name, "screen_name": screen_name}))["id"]
        tokens = (await self.door("tokens"))["items"]
        self.user = next(token for token in tokens if token["kind"] == "user")
        self.bot = next(token["token"] for token in tokens if token.get("page") == self.page)
        self.topic = (await self.call("mediatopic.getTopics", gid=self.page))["media_topics"][0]["id"]

    async def door(self, path: str, body: dict[str, Any] | None = None, *, status: int = 200) -> Any:
        """Knock at the control API."""
        if body is None:
            response = await self.http.get(f"/_control/{path}")
        else:
            response = await self.http.post(f"/_control/{path}", json=body)
        assert response.status_code == status, response.text
        return response.json()

    async def citizen(self, text: str, kind: str = "comment", **more: Any) -> dict[str, Any]:
        """A citizen writes on the page."""
        answer: dict[str, Any] = await self.door(
            "citizen", {"page": self.page, "kind": kind, "text": text, **more}
        )
        return answer

    async def raw(self, params: dict[str, str], user: dict[str, Any] | None = None) -> httpx.Response:
        """A signed POST with exactly these parameters besides key and token."""
        user = user or self.user
        params = {"application_key": user["application_key"], **params}
        text = "".join(f"{key}={params[key]}" for key in sorted(params))
        secret = md5((user["token"] + user["application_secret_key"]).encode()).hexdigest()
        sig = md5((text + secret).encode()).hexdigest()
        return await self.http.post("/fb.do", data={**params, "sig": sig, "access_token": user["token"]})

    async def call(self, method: str, user: dict[str, Any] | None = None, **params: Any) -> Any:
        """A method's answer."""
        response = await self.raw({"method": method, **{key: str(value) for key, value in params.items()}}, user)
        assert response.status_code == 200
        return response.json()

    async def comments(self, **params: Any) -> Any:
        """Comments under the page's first topic."""
        return await self.call(
            "discussions.getComments", **{"discussionId": self.topic, "discussionType": "GROUP_TOPIC", **params}
        )

    async def answer(self, text: str, **params: Any) -> Any:
        """A comment through the API, in the name of the page."""
        return await self.call(
            "discussions.addDiscussionComment",
            **{"entityId": self.topic, "entityType": "GROUP_TOPIC", "comment": text, "as_admin": "true", **params},
        )

    async def graph(self, path: str, body: Any = None, **query: Any) -> Any:
        """A call of the page's bot."""
        query = {"access_token": self.bot, **query}
        if body is None:
            response = await self.http.get(f"/graph/me/{path}", params=query)
        else:
            response = await self.http.post(f"/graph/me/{path}", params=query, json=body)
        assert response.status_code == 200
        return response.json()
