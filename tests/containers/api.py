"""Clients of an installation's API, through its gateway, and of the emulated networks."""

import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import httpx

from tests.containers.engine import StepFailedError

T = TypeVar("T")

_AGAIN = (429, 500, 502, 503, 504)
_PATIENCE_SECONDS = 120.0


def wait_until(look: Callable[[], T | None], what: str, *, seconds: float = 120, every: float = 0.5) -> T:
    """Return the first true result of `look`; raise StepFailedError with `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise StepFailedError(f"not within {seconds:.0f} s: {what}")
        time.sleep(every)


class Caller:
    """A client of one base URL. Calls with a temporary error or no response are retried for two minutes."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.called_again: Counter[str] = Counter()
        self._http = httpx.Client(timeout=60)

    def call(self, method: str, path: str, *, accept: tuple[int, ...] = (), **options: Any) -> httpx.Response:
        """Return a response with status 2xx or of `accept`; raise StepFailedError for any other status."""
        # The same key in every attempt, so that a repeated call has no second effect.
        key = {"Idempotency-Key": uuid.uuid4().hex} if method == "POST" else {}
        headers = self._headers() | key | options.pop("headers", {})
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                response = self._http.request(method, self.address + path, headers=headers, **options)
            except httpx.TransportError as error:
                problem = type(error).__name__
            else:
                if response.is_success or response.status_code in accept:
                    return response
                problem = f"{response.status_code} {response.text[:500]}"
                # Traefik's own 404 before it has read its routes; the services' 404 is `application/problem+json`.
                starting = response.status_code == 404 and response.text.strip() == "404 page not found"
                if response.status_code not in _AGAIN and not starting:
                    raise StepFailedError(f"{method} {path}: {problem}")
            self.called_again[problem[:3]] += 1
            if time.monotonic() > deadline:
                raise StepFailedError(f"{method} {path}, tried for {_PATIENCE_SECONDS:.0f} s: {problem}")
            time.sleep(0.5)

    def json(self, method: str, path: str, **options: Any) -> Any:
        """Return the JSON of a response with status 2xx."""
        return self.call(method, path, **options).json()

    def _headers(self) -> dict[str, str]:
        return {}


class Network(Caller):
    """A client of an emulated network's control API."""

    def __init__(self, name: str, address: str) -> None:
        super().__init__(f"{address}/_control")
        self.name = name

    def write(self, page: str, text: str) -> dict[str, Any]:
        """Write a comment on a page as a new citizen. Return the comment."""
        number = uuid.uuid4().int % 10**9
        author: int | str = number + 10**9 if self.name == "vk" else str(580_000_000_000 + number)
        body = {"page": page, "kind": "comment", "text": text, "author": author}
        written: dict[str, Any] = self.json("POST", "/citizen", json=body)
        return written

    def replies(self, page: str) -> list[dict[str, Any]]:
        """Return the texts that the community wrote on a page."""
        items: list[dict[str, Any]] = self.json("GET", f"/answers?page={page}")["items"]
        return items


class Person(Caller):
    """A client that calls the API as one person."""

    def __init__(self, gateway: str, name: str, password: str) -> None:
        super().__init__(gateway)
        self.name, self.password = name, password
        self._token, self._valid_until = "", 0.0

    def sign_out(self) -> None:
        """Forget the token: the next call signs in."""
        self._valid_until = 0.0

    def token(self) -> str:
        """Return an access token that is valid for at least a minute; sign in if needed."""
        if time.monotonic() > self._valid_until:
            form = {"grant_type": "password", "username": self.name, "password": self.password}
            signed_in = Caller(self.address).json("POST", "/api/v1/auth/token", data=form)
            self._token = signed_in["access_token"]
            self._valid_until = time.monotonic() + signed_in["expires_in"] - 60
        return self._token

    def get(self, path: str, **query: Any) -> Any:
        """Return the JSON of a resource under /api/v1."""
        return self.json("GET", f"/api/v1{path}", params=query)

    def post(self, path: str, body: dict[str, Any], **options: Any) -> Any:
        """Send a POST under /api/v1; retries have the same idempotency key, so it takes effect once. Return the
        JSON of the response.
        """
        return self.json("POST", f"/api/v1{path}", json=body, **options)

    def every(self, path: str, **query: Any) -> Iterator[dict[str, Any]]:
        """Yield all items of a list."""
        query["limit"] = 100
        while True:
            found = self.get(path, **query)
            yield from found["items"]
            if not found["next_cursor"]:
                return
            query["cursor"] = found["next_cursor"]

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token()}"}
