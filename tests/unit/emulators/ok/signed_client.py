"""A client of the emulator that signs requests with its own code, not with the emulator's."""

from hashlib import md5
from typing import Any

import httpx

from emulators.ok.state.network_state import OkState


class Network:
    """Both APIs of the network, called with the credentials of its only administrator."""

    def __init__(self, http: httpx.AsyncClient, world: OkState) -> None:
        self.http = http
        self.world = world
        self.page = ""
        self.topic = ""
        self.bot = ""
        self.user: dict[str, Any] = {}

    async def open_page(self, name: str, screen_name: str) -> None:
        """Create a page and use it for all further calls."""
        self.page = (await self.control("pages", {"name": name, "screen_name": screen_name}))["id"]
        tokens = (await self.control("tokens"))["items"]
        self.user = next(token for token in tokens if token["kind"] == "user")
        self.bot = next(token["token"] for token in tokens if token.get("page") == self.page)
        self.topic = (await self.call("mediatopic.getTopics", gid=self.page))["media_topics"][0]["id"]

    async def control(self, path: str, body: dict[str, Any] | None = None, *, status: int = 200) -> Any:
        """Call the control API."""
        if body is None:
            response = await self.http.get(f"/_control/{path}")
        else:
            response = await self.http.post(f"/_control/{path}", json=body)
        assert response.status_code == status, response.text
        return response.json()

    async def citizen(self, text: str, kind: str = "comment", **more: Any) -> dict[str, Any]:
        """Write on the page as a citizen."""
        answer: dict[str, Any] = await self.control(
            "citizen", {"page": self.page, "kind": kind, "text": text, **more}
        )
        return answer

    async def raw(self, params: dict[str, str], user: dict[str, Any] | None = None) -> httpx.Response:
        """Send a signed POST with exactly these parameters besides key and token."""
        user = user or self.user
        params = {"application_key": user["application_key"], **params}
        text = "".join(f"{key}={params[key]}" for key in sorted(params))
        secret = md5((user["token"] + user["application_secret_key"]).encode()).hexdigest()
        sig = md5((text + secret).encode()).hexdigest()
        return await self.http.post("/fb.do", data={**params, "sig": sig, "access_token": user["token"]})

    async def call(self, method: str, user: dict[str, Any] | None = None, **params: Any) -> Any:
        """Call a method and return its response."""
        response = await self.raw({"method": method, **{key: str(value) for key, value in params.items()}}, user)
        assert response.status_code == 200
        return response.json()

    async def comments(self, **params: Any) -> Any:
        """Return the comments under the page's first topic."""
        return await self.call(
            "discussions.getComments", **{"discussionId": self.topic, "discussionType": "GROUP_TOPIC", **params}
        )

    async def answer(self, text: str, **params: Any) -> Any:
        """Comment through the API as the page."""
        return await self.call(
            "discussions.addDiscussionComment",
            **{"entityId": self.topic, "entityType": "GROUP_TOPIC", "comment": text, "as_admin": "true", **params},
        )

    async def graph(self, path: str, body: Any = None, **query: Any) -> Any:
        """Call the Bot API as the page's bot."""
        query = {"access_token": self.bot, **query}
        if body is None:
            response = await self.http.get(f"/graph/me/{path}", params=query)
        else:
            response = await self.http.post(f"/graph/me/{path}", params=query, json=body)
        assert response.status_code == 200
        return response.json()
