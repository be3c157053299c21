"""Client of OK: signed REST calls with a user session, and the Bot API with a group token."""

import asyncio
import hashlib
import json
import time
from collections.abc import Mapping
from typing import Any

import aiohttp
import stamina

from services.ingest.networks.calls import (
    TOKEN_TREATMENTS,
    CallError,
    ErrorTreatment,
    NoUsableToken,
    NoValidResponse,
    TokenNotUsable,
    call_timeout,
    check_send_deadline,
    record_call,
    report_token_effect,
    transport_failure,
    use_call_allowance,
)
from services.ingest.networks.ok.ok_errors import EFFECTS, FIELD_ERRORS, NETWORK, treatment
from services.ingest.networks.port import Credential, TokenKind, TokenPool
from services.ingest.settings import IngestSettings
from shared.logs import get_logger

log = get_logger(__name__)

# How many sessions a read tries at most.
MAX_SESSION_SWITCHES = 8
_UNSIGNED = {"access_token", "session_key", "sig"}
# The list in each response. Without items OK may omit it, or return null instead of the list or of the response.
_LISTS = {
    "discussions.getComments": "comments",
    "discussions.getList": "discussions",
    "mediatopic.getByIds": "media_topics",
    "mediatopic.getTopics": "media_topics",
    "graph.chats.get": "chats",
    "graph.messages.get": "messages",
    "graph.subscriptions.get": "subscriptions",
}
# A response without its list is valid only if it has nothing else, or one of these fields.
_OTHER_FIELDS = {"anchor", "has_more", "marker", "discussionId", "discussionType", "entities", *_LISTS.values()}


def signature(params: Mapping[str, str], secret: str) -> str:
    """Return OK's request signature: MD5 of the sorted parameters and the secret, as OK documents it."""
    signed = "".join(f"{key}={value}" for key, value in sorted(params.items()) if key not in _UNSIGNED)
    return hashlib.md5((signed + secret).encode(), usedforsecurity=False).hexdigest()


def session_secret(credential: Credential) -> str:
    """Return the session secret: the given one, or derived from the token and the application secret."""
    if credential.session_secret_key:
        return credential.session_secret_key
    material = credential.token + (credential.application_secret_key or "")
    return hashlib.md5(material.encode(), usedforsecurity=False).hexdigest()


def is_transient(error: Exception) -> bool:
    """Return whether a failed read should be retried at once."""
    if isinstance(error, CallError):
        return error.treatment is ErrorTreatment.TRANSIENT
    return isinstance(error, NoValidResponse)


class OkClient:
    """Calls both APIs within the tokens' limits and reports token failures to the token pool."""

    def __init__(self, http: aiohttp.ClientSession, token_pool: TokenPool, settings: IngestSettings) -> None:
        self._http = http
        self._token_pool = token_pool
        self._settings = settings
        self._timeout = call_timeout(settings.ok_call_timeout_seconds)
        # By method: the fewer `fields` with which it is called, and until when, by the event loop's time.
        self._fewer_fields: dict[str, tuple[str, float]] = {}

    def user_session(self, method: str) -> Credential:
        """Return a usable user session. Raises `NoUsableToken` if there is none."""
        found = self._token_pool.select(NETWORK, TokenKind.USER, method=method)
        if found is None:
            raise NoUsableToken(f"no usable user session for {method}")
        return found

    def group_token(self, page_id: Any, method: str) -> Credential:
        """Return the usable token of a group. Raises `NoUsableToken` if there is none."""
        found = self._token_pool.select(NETWORK, TokenKind.GROUP, page_id, method=method)
        if found is None:
            raise NoUsableToken(f"no usable token of the group for {method}")
        return found

    async def read_with_any_session(self, method: str, **params: Any) -> Any:
        """Call a read-only REST method.

        Retry transient failures a few times; use another session if one is rejected.
        """
        for _ in range(MAX_SESSION_SWITCHES):
            try:
                async for attempt in stamina.retry_context(
                    on=is_transient, attempts=4, wait_initial=0.3, wait_max=4
                ):
                    with attempt:
                        return await self.call(self.user_session(method), method, **params)
            except CallError as error:
                if error.treatment not in TOKEN_TREATMENTS:
                    raise
            except TokenNotUsable:
                continue  # the session became unusable while this call waited for the rate limit
        raise NoUsableToken(f"{MAX_SESSION_SWITCHES} sessions in a row were rejected for {method}")

    async def read_with_fields(self, method: str, fields: str, **params: Any) -> Any:
        """Call a read-only REST method with `fields`, or with fewer if the network refuses them.

        OK refuses the whole call because of an unknown field. The method is then called with the first field, or
        without any, for `ok_fields_retry_seconds`: its responses have fewer details.
        """
        now = asyncio.get_running_loop().time()
        fewer, until = self._fewer_fields.get(method, ("", 0.0))
        if until > now:
            return await self.read_with_any_session(method, fields=fewer, **params)
        refusal: CallError | None = None
        for asked in dict.fromkeys((fields, fields.partition(",")[0], "")):
            try:
                answer = await self.read_with_any_session(method, fields=asked, **params)
            except CallError as error:
                if error.code not in FIELD_ERRORS or not asked:
                    raise
                refusal = refusal or error
                continue
            if refusal is not None:
                # The same call with fewer `fields` succeeded, so they were the reason.
                pause = self._settings.ok_fields_retry_seconds
                self._fewer_fields[method] = asked, now + pause
                reason = str(refusal)[:200]
                log.warning("fields refused", method=method, fields=fields, error=reason, retry_in_seconds=pause)
            return answer
        raise AssertionError("unreachable: the call without fields either returns or raises")

    async def call(
        self, credential: Credential, method: str, *, not_after: float | None = None, **params: Any
    ) -> Any:
        """Call a REST method once; return its JSON value. Send nothing after `not_after` (by `boottime_seconds`).

        Raises `CallError`, `NoValidResponse`, or `TokenNotUsable` if the token is unusable and nothing was sent.
        """
        form = {key: _plain(value) for key, value in params.items() if value is not None and value != ""}
        form |= {"method": method, "format": "json"}
        if credential.application_key:
            form["application_key"] = credential.application_key
        form["sig"] = signature(form, session_secret(credential))
        form["access_token"] = credential.token
        url = f"{self._settings.ok_api_url}/fb.do"
        return await self._answer(credential, method, "POST", url, not_after, data=form)

    async def read_bot_api(self, credential: Credential, path: str, **query: Any) -> Any:
        """Send a GET to the Bot API; retry transient failures a few times."""
        async for attempt in stamina.retry_context(on=is_transient, attempts=4, wait_initial=0.3, wait_max=4):
            with attempt:
                return await self.call_bot_api(credential, path, query=query)
        raise AssertionError("unreachable: the retry either returns or raises")

    async def call_bot_api(
        self,
        credential: Credential,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
        not_after: float | None = None,
    ) -> Any:
        """Call the Bot API once, with POST if there is a body. Raises like `call`."""
        params = {key: _plain(value) for key, value in (query or {}).items() if value is not None}
        params["access_token"] = credential.token  # this API accepts the token only in the query
        url = f"{self._settings.ok_api_url}/graph/me/{path}"
        method = bot_method_name(path, posting=body is not None)
        if body is None:
            return await self._answer(credential, method, "GET", url, not_after, params=params)
        headers = {"Content-Type": "application/json;charset=utf-8"}
        data = json.dumps(body).encode()
        sent = {"params": params, "data": data, "headers": headers}
        return await self._answer(credential, method, "POST", url, not_after, **sent)

    async def _answer(
        self, credential: Credential, method: str, verb: str, url: str, not_after: float | None, **request: Any
    ) -> Any:
        await self._token_pool.wait_for_turn(credential, self._settings.ok_calls_per_second)
        if await self._token_pool.begin_call(credential, method) is None:
            raise TokenNotUsable(f"the token is not usable for {method} now")
        use_call_allowance(NETWORK, method)
        started = time.perf_counter()
        try:
            check_send_deadline(not_after)
            request |= {"timeout": self._timeout, "trace_request_ctx": {"not_after": not_after}}
            # A failure to follow a redirect would look like a call that was never sent.
            request["allow_redirects"] = False
            async with self._http.request(verb, url, **request) as answer:
                body = json.loads(await answer.read())
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            record_call(NETWORK, method, "no_response", started)
            raise transport_failure(NETWORK, method, error) from None
        if isinstance(body, dict) and "error_code" in body:
            raise await self._refused(credential, method, body, started)
        if (name := _LISTS.get(method)) and (body := _with_list(body, name)) is None:
            record_call(NETWORK, method, "invalid_response", started)
            raise NoValidResponse(NETWORK, method, f"no {name} in the response")
        record_call(NETWORK, method, "success", started)
        await self._token_pool.record_success(credential, method)
        return body

    async def _refused(
        self, credential: Credential, method: str, error: dict[str, Any], started: float
    ) -> CallError:
        code = error.get("error_code")
        code = code if isinstance(code, int) else 0
        text = str(error.get("error_msg", "")).replace(credential.token, "…")[:200]
        kind = treatment(code)
        record_call(NETWORK, method, kind.value, started)
        failure = CallError(NETWORK, method, code, text, kind)
        await report_token_effect(self._token_pool, credential, failure, EFFECTS.get(kind))
        return failure


def bot_method_name(path: str, *, posting: bool = False) -> str:
    """Return the name of a Bot API call, under which its limits are stored."""
    return f"graph.{path.partition('/')[0]}.{'post' if posting else 'get'}"


def _with_list(body: Any, name: str) -> dict[str, Any] | None:
    """Return the response with its list, empty if OK left it out; None if it is not a valid response."""
    if body is None:
        return {name: []}
    if not isinstance(body, dict):
        return None
    if isinstance(body.get(name), list):
        return body
    is_other = bool(body) and body.keys().isdisjoint(_OTHER_FIELDS)
    return None if is_other or body.get(name) is not None or body.get("has_more") else body | {name: []}


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
