"""Calls to the VK API: one token, one method, one clear outcome."""

import json
from typing import Any

import aiohttp
import stamina

from services.ingest.networks.calls import CallError, CallLost, NoToken, Pacer, Treatment, lost
from services.ingest.networks.port import Accounts, Credential, TokenKind, TokenState
from services.ingest.networks.vk.errors import FLOOD_SECONDS, LIMITED_SECONDS, NETWORK, treatment
from services.ingest.settings import IngestSettings

_STATES = {
    Treatment.CAPTCHA: TokenState.CAPTCHA,
    Treatment.REVOKED: TokenState.REVOKED,
    Treatment.BLOCKED: TokenState.BLOCKED,
}


def transient(error: Exception) -> bool:
    """Whether a read is worth another try right away."""
    if isinstance(error, CallError):
        return error.treatment in {Treatment.AGAIN, Treatment.SLOWER}
    return isinstance(error, CallLost)


class VkClient:
    """Speaks to the API under the tokens' limits and tells the accounts when a token is in trouble."""

    def __init__(self, http: aiohttp.ClientSession, accounts: Accounts, settings: IngestSettings) -> None:
        self._http = http
        self._accounts = accounts
        self._settings = settings
        self._pacer = Pacer()
        self._timeout = aiohttp.ClientTimeout(total=settings.vk_call_seconds)

    async def read(self, credential: Credential, method: str, **params: Any) -> Any:
        """Call a method that changes nothing; transient failures are tried again a few times."""
        async for attempt in stamina.retry_context(on=transient, attempts=4, wait_initial=0.3, wait_max=4):
            with attempt:
                return await self.call(credential, method, **params)
        raise AssertionError("unreachable: the retry either returns or raises")

    async def call(self, credential: Credential, method: str, **params: Any) -> Any:
        """Call a method once; answers what stands under `response`. Raises `CallError` or `CallLost`."""
        group = credential.kind is TokenKind.GROUP
        a_second = self._settings.vk_group_calls_a_second if group else self._settings.vk_user_calls_a_second
        await self._pacer.wait(credential.id, a_second)
        form = {key: _plain(value) for key, value in params.items() if value is not None}
        form |= {"access_token": credential.token, "v": self._settings.vk_version}
        url = f"{self._settings.vk_api_url}/method/{method}"
        try:
            async with self._http.post(url, data=form, timeout=self._timeout) as answer:
                body = json.loads(await answer.read())
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise lost(NETWORK, method, error) from None
        if isinstance(body, dict) and isinstance(body.get("error"), dict):
            raise await self._refused(credential, method, body["error"])
        if not isinstance(body, dict) or "response" not in body:
            raise CallLost(NETWORK, method, "the answer is neither a response nor an error")
        return body["response"]

    async def _refused(self, credential: Credential, method: str, error: dict[str, Any]) -> CallError:
        code = error.get("error_code")
        code = code if isinstance(code, int) else 0
        text = str(error.get("error_msg", ""))[:200]
        kind = treatment(code)
        failure = CallError(NETWORK, method, code, text, kind)
        if kind in _STATES:
            await self._accounts.trouble(credential, _STATES[kind], f"error {code} of {method}: {text}")
        elif kind is Treatment.LIMITED:
            await self._accounts.trouble(
                credential, TokenState.LIMITED, f"error {code}: {text}", seconds=LIMITED_SECONDS, method=method
            )
        elif kind is Treatment.FLOOD:
            await self._accounts.trouble(
                credential, TokenState.LIMITED, f"error {code}: {text}", seconds=FLOOD_SECONDS, method=method
            )
        return failure

    def credential(self, method: str, *kinds: TokenKind, page_id: Any = None) -> Credential:
        """A usable token of the first kind that has one. Raises `NoToken`."""
        for kind in kinds:
            own = page_id if kind is TokenKind.GROUP else None
            found = self._accounts.credential(NETWORK, kind, own, method=method)
            if found is not None:
                return found
        raise NoToken(f"no usable token of kind {' or '.join(kinds)} for {method}")


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return str(int(value))
    return str(value)
