"""Client of the VK API."""

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

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
from services.ingest.networks.port import Credential, TokenKind, TokenPool
from services.ingest.networks.vk.vk_errors import (
    EFFECTS,
    NETWORK,
    PERMISSION_DENIED,
    call_treatment,
    extract_challenge,
)
from services.ingest.settings import IngestSettings

EXECUTE_BATCH = 25
# How many tokens a read tries at most.
MAX_TOKEN_SWITCHES = 8
# Errors that concern the requested content: another token would get the same error.
CONTENT_TREATMENTS = {ErrorTreatment.DENIED, ErrorTreatment.NOT_FOUND, ErrorTreatment.CONTENT_REJECTED}
# This method concerns no single conversation: only a token without the right is refused with `PERMISSION_DENIED`.
LIST_CONVERSATIONS = "messages.getConversations"


def is_transient(error: Exception) -> bool:
    """Return whether a failed read should be retried at once."""
    if isinstance(error, CallError):
        return error.treatment in {ErrorTreatment.TRANSIENT, ErrorTreatment.RATE_LIMITED}
    return isinstance(error, NoValidResponse)


class VkClient:
    """Calls the API within the tokens' limits and reports token failures to the token pool."""

    def __init__(self, http: aiohttp.ClientSession, token_pool: TokenPool, settings: IngestSettings) -> None:
        self._http = http
        self._token_pool = token_pool
        self._settings = settings
        self._timeout = call_timeout(settings.vk_call_timeout_seconds)
        # Tokens with methods that they may not call, according to the network's last response.
        self._missing_scopes: set[tuple[UUID, str]] = set()

    async def read_with_any_token(
        self, method: str, *kinds: TokenKind, page_id: UUID | None = None, **params: Any
    ) -> Any:
        """Read with any usable token of these kinds, another if one is rejected. Also raises `NoUsableToken`."""
        for _ in range(MAX_TOKEN_SWITCHES):
            credential = self.select_token(method, *kinds, page_id=page_id)
            try:
                return await self.read_with_retries(credential, method, **params)
            except CallError as error:
                if error.treatment not in TOKEN_TREATMENTS:
                    raise
            except TokenNotUsable:
                continue  # the token became unusable while this call waited for the rate limit
        raise NoUsableToken(f"{MAX_TOKEN_SWITCHES} tokens in a row were rejected for {method}")

    async def read_batch(
        self, method: str, calls: Sequence[Mapping[str, Any]], *kinds: TokenKind, page_id: UUID | None = None
    ) -> list[Any]:
        """Read with many parameter sets; return responses in their order, a `CallError` for inaccessible content.

        Up to 25 reads go into one `execute` call with a user or group token; failed reads are repeated one by one.
        Methods with a daily limit are always called one by one, because each inner call counts.
        """
        answers: list[Any] = []
        for start in range(0, len(calls), EXECUTE_BATCH):
            batch = calls[start : start + EXECUTE_BATCH]
            found = await self._execute(method, batch, kinds, page_id) if len(batch) > 1 else None
            for params, answer in zip(batch, found or [None] * len(batch), strict=True):
                answers.append(answer if answer is not None else await self._alone(method, params, kinds, page_id))
        return answers

    async def _alone(
        self, method: str, params: Mapping[str, Any], kinds: Sequence[TokenKind], page_id: UUID | None
    ) -> Any:
        try:
            return await self.read_with_any_token(method, *kinds, page_id=page_id, **params)
        except CallError as error:
            if error.treatment not in CONTENT_TREATMENTS:
                raise
            return error

    async def _execute(
        self, method: str, batch: Sequence[Mapping[str, Any]], kinds: Sequence[TokenKind], page_id: UUID | None
    ) -> list[Any] | None:
        """Return the responses of a batch, with None for failed calls; None if the batch could not be run."""
        able = [kind for kind in kinds if kind is not TokenKind.SERVICE]
        if not able or method in self._settings.calls_per_day(NETWORK):
            return None
        # Each response contains the number of its call: a wrong order would store messages in wrong threads.
        inner = ",".join(
            f'{{"n":{number},"answer":API.{method}({json.dumps(_form(one), ensure_ascii=False)})}}'
            for number, one in enumerate(batch)
        )
        try:
            answer = await self.read_with_any_token("execute", *able, page_id=page_id, code=f"return [{inner}];")
        except (CallError, NoValidResponse, NoUsableToken):
            return None
        if not isinstance(answer, list):
            return None
        numbered = [one for one in answer if isinstance(one, dict) and isinstance(one.get("n"), int)]
        found = {one["n"]: one.get("answer") for one in numbered}
        if found.keys() != set(range(len(batch))):
            return None
        return [None if found[number] is False else found[number] for number in range(len(batch))]

    async def read_with_retries(self, credential: Credential, method: str, **params: Any) -> Any:
        """Call a read-only method; retry transient failures a few times."""
        async for attempt in stamina.retry_context(on=is_transient, attempts=4, wait_initial=0.3, wait_max=4):
            with attempt:
                return await self.call(credential, method, **params)
        raise AssertionError("unreachable: the retry either returns or raises")

    async def call(
        self, credential: Credential, method: str, *, not_after: float | None = None, **params: Any
    ) -> Any:
        """Call a method once; return the value of `response`. Nothing is sent after `not_after`.

        Raises `CallError`, `NoValidResponse`, or `TokenNotUsable` if the token is unusable and nothing was sent.
        """
        group = credential.kind is TokenKind.GROUP
        a_second = self._settings.vk_group_calls_per_second if group else self._settings.vk_user_calls_per_second
        await self._token_pool.wait_for_turn(credential, a_second)
        extra = await self._token_pool.begin_call(credential, method)
        if extra is None:
            raise TokenNotUsable(f"the token is not usable for {method} now")
        use_call_allowance(NETWORK, method)
        form = _form(params) | dict(extra) | {"access_token": credential.token, "v": self._settings.vk_version}
        url = f"{self._settings.vk_api_url}/method/{method}"
        started = time.perf_counter()
        try:
            check_send_deadline(not_after)
            context = {"not_after": not_after}
            # A failure to follow a redirect would look like a call that was never sent.
            async with self._http.post(
                url, data=form, timeout=self._timeout, trace_request_ctx=context, allow_redirects=False
            ) as answer:
                body = json.loads(await answer.read())
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            record_call(NETWORK, method, "no_response", started)
            raise transport_failure(NETWORK, method, error) from None
        if isinstance(body, dict) and isinstance(body.get("error"), dict):
            raise await self._refused(credential, method, params, body["error"], started)
        if not isinstance(body, dict) or "response" not in body:
            record_call(NETWORK, method, "invalid_response", started)
            raise NoValidResponse(NETWORK, method, "the body has neither a response nor an error")
        record_call(NETWORK, method, "success", started)
        self._missing_scopes.discard((credential.id, method))
        await self._token_pool.record_success(credential, method)
        return body["response"]

    async def _refused(
        self,
        credential: Credential,
        method: str,
        params: Mapping[str, Any],
        error: dict[str, Any],
        started: float,
    ) -> CallError:
        code = error.get("error_code")
        code = code if isinstance(code, int) else 0
        text = str(error.get("error_msg", "")).replace(credential.token, "…")[:200]
        kind = call_treatment(error, method, credential.kind, own=credential.page_id is not None)
        if (
            kind is ErrorTreatment.MISSING_SCOPE
            and code == PERMISSION_DENIED
            and method.startswith("messages.")
            and "peer_id" in params
            and not await self._lacks_message_right(credential, params)
        ):
            kind = ErrorTreatment.DENIED
        record_call(NETWORK, method, kind.value, started)
        failure = CallError(NETWORK, method, code, text, kind)
        if kind is ErrorTreatment.MISSING_SCOPE:
            self._missing_scopes.add((credential.id, method))
        await report_token_effect(
            self._token_pool, credential, failure, EFFECTS.get(kind), challenge=extract_challenge(error)
        )
        return failure

    async def _lacks_message_right(self, credential: Credential, params: Mapping[str, Any]) -> bool:
        """Return whether the token may read no conversation at all. Raises like `call`.

        The network refuses one conversation with the same error, so it is asked for the list of conversations.
        """
        if (credential.id, LIST_CONVERSATIONS) in self._missing_scopes:
            return True
        try:
            await self.call(credential, LIST_CONVERSATIONS, group_id=params.get("group_id"), count=1)
        except CallError as error:
            if error.treatment is not ErrorTreatment.MISSING_SCOPE:
                raise
            return True
        return False

    def select_token(self, method: str, *kinds: TokenKind, page_id: UUID | None = None) -> Credential:
        """Return a usable token of the first kind that has one. Raises `NoUsableToken` if none has."""
        for kind in kinds:
            own = page_id if kind is TokenKind.GROUP else None
            found = self._token_pool.select(NETWORK, kind, own, method=method)
            if found is not None:
                return found
        raise NoUsableToken(f"no usable token of kind {' or '.join(kinds)} for {method}")

    def has_token(self, method: str, *kinds: TokenKind, page_id: UUID | None = None) -> bool:
        """Return whether a token of these kinds may call the method, now or when it works again. A token that
        lacks the scope counts only after its pause.
        """
        for kind in kinds:
            own = page_id if kind is TokenKind.GROUP else None
            if self._token_pool.select(NETWORK, kind, own, method=method) is not None:
                return True
            tokens = self._token_pool.tokens(NETWORK, kind, own)
            if any((one.id, method) not in self._missing_scopes for one in tokens):
                return True
        return False


def _form(params: Mapping[str, Any]) -> dict[str, str]:
    return {key: _plain(value) for key, value in params.items() if value is not None}


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return str(int(value))
    return str(value)
