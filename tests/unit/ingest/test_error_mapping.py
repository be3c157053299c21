"""Error codes of the networks: treatments, token states and messages."""

import pytest

from services.ingest.networks.calls import TOKEN_TREATMENTS, CallError, ErrorTreatment
from services.ingest.networks.error_mapping import mapping_publish_errors
from services.ingest.networks.ok import ok_errors as ok
from services.ingest.networks.port import PublishOutcomeUnknown, PublishRejected, TokenKind, TokenState
from services.ingest.networks.vk import vk_errors as vk

T = ErrorTreatment
VK = {
    5: T.REVOKED, 6: T.RATE_LIMITED, 9: T.FLOOD_CONTROL, 10: T.TRANSIENT, 14: T.CAPTCHA, 15: T.DENIED,
    17: T.CAPTCHA, 18: T.NOT_FOUND,
    27: T.REVOKED, 28: T.REVOKED, 29: T.QUOTA_EXHAUSTED, 30: T.DENIED, 203: T.DENIED, 212: T.DENIED,
    213: T.CONTENT_REJECTED,
    912: T.NOT_FOUND, 917: T.NOT_FOUND, 922: T.NOT_FOUND, 925: T.NOT_FOUND, 927: T.NOT_FOUND, 932: T.NOT_FOUND,
    935: T.NOT_FOUND, 936: T.NOT_FOUND, 945: T.NOT_FOUND, 946: T.NOT_FOUND, 962: T.NOT_FOUND, 1012: T.NOT_FOUND,
    950: T.CONTENT_REJECTED,
}  # fmt: skip
OK = {
    2: T.TRANSIENT, 8: T.FLOOD_CONTROL, 9: T.QUOTA_EXHAUSTED, 10: T.DENIED, 11: T.QUOTA_EXHAUSTED,
    100: T.CLIENT_ERROR, 101: T.BLOCKED,
    102: T.REVOKED, 103: T.REVOKED, 104: T.CLIENT_ERROR, 200: T.CLIENT_ERROR, 160: T.NOT_FOUND, 300: T.NOT_FOUND,
    453: T.CLIENT_ERROR, 454: T.CONTENT_REJECTED,
    455: T.DENIED, 456: T.DENIED, 457: T.REVOKED, 458: T.DENIED, 700: T.NOT_FOUND,
}  # fmt: skip
# The state of a token after each treatment; other treatments leave it unchanged.
STATES = {
    T.CAPTCHA: TokenState.CAPTCHA,
    T.REVOKED: TokenState.REVOKED,
    T.BLOCKED: TokenState.BLOCKED,
    T.QUOTA_EXHAUSTED: TokenState.LIMITED,
    T.FLOOD_CONTROL: TokenState.LIMITED,
    T.MISSING_SCOPE: TokenState.LIMITED,
}
# The response was lost: the author gets no message because the thread is read to find the reply.
SILENT = {T.TRANSIENT}


@pytest.mark.parametrize(("code", "expected"), VK.items())
def test_vk_codes_have_the_documented_treatment(code: int, expected: ErrorTreatment) -> None:
    assert vk.TREATMENTS[code] is expected


@pytest.mark.parametrize(("code", "expected"), OK.items())
def test_ok_codes_have_the_documented_treatment(code: int, expected: ErrorTreatment) -> None:
    assert ok.TREATMENTS[code] is expected


@pytest.mark.parametrize("treatment", ErrorTreatment)
@pytest.mark.parametrize("effects", [vk.EFFECTS, ok.EFFECTS])
def test_treatment_sets_the_expected_token_state(effects: dict[ErrorTreatment, object], treatment: T) -> None:
    if effects is ok.EFFECTS and treatment is T.MISSING_SCOPE:
        assert treatment not in effects  # OK has no error code for a missing scope
        return
    effect = vk.EFFECTS.get(treatment) if effects is vk.EFFECTS else ok.EFFECTS.get(treatment)
    assert (effect.state if effect else None) == STATES.get(treatment)
    assert (effect is not None) == (treatment in TOKEN_TREATMENTS)
    if effect is not None and effect.state is TokenState.LIMITED:
        assert effect.pause_seconds
        assert effect.max_pause_seconds
        assert effect.max_pause_seconds >= effect.pause_seconds


@pytest.mark.parametrize(
    ("network", "code"), [("vk", code) for code in VK] + [("ok", code) for code in OK], ids=str
)
def test_author_of_a_refused_reply_gets_a_russian_message(network: str, code: int) -> None:
    table = vk if network == "vk" else ok
    treatment = table.treatment(code)
    error = CallError(network, "method", code, "SOME_ENGLISH text", treatment)
    with (
        pytest.raises((PublishRejected, PublishOutcomeUnknown)) as caught,
        mapping_publish_errors(network, table.user_message),
    ):
        raise error
    if treatment in SILENT:
        assert isinstance(caught.value, PublishOutcomeUnknown)
        return
    refused = caught.value
    assert isinstance(refused, PublishRejected)
    assert "ENGLISH" not in refused.message
    assert "(ошибка" not in refused.message, "the code has no message of its own"
    # Retried if the cause is temporary or an operator can fix it, but not if the author must change the reply.
    again = treatment in TOKEN_TREATMENTS or treatment is T.RATE_LIMITED
    assert refused.permanent is not again


@pytest.mark.parametrize(
    ("code", "method", "kind", "expected"),
    [
        (27, "messages.send", TokenKind.GROUP, T.REVOKED),
        (27, "wall.createComment", TokenKind.GROUP, T.REVOKED),
        (27, "groups.getLongPollServer", TokenKind.GROUP, T.REVOKED),
        (27, "wall.get", TokenKind.GROUP, T.MISSING_SCOPE),
        (27, "messages.getHistory", TokenKind.SERVICE, T.MISSING_SCOPE),
        (28, "wall.get", TokenKind.SERVICE, T.REVOKED),
        (28, "wall.createComment", TokenKind.SERVICE, T.MISSING_SCOPE),
        (5, "wall.get", TokenKind.GROUP, T.REVOKED),
    ],
)
def test_wrong_kind_of_token_is_a_missing_scope_and_not_a_revocation(
    code: int, method: str, kind: TokenKind, expected: ErrorTreatment
) -> None:
    assert vk.call_treatment({"error_code": code}, method, kind, own=kind is TokenKind.GROUP) is expected


def test_missing_scope_changes_the_token_state_and_a_closed_wall_does_not() -> None:
    closed = {"error_code": 15, "error_msg": "Access denied: wall is disabled"}
    scope = {"error_code": 15, "error_subcode": 1133}
    assert vk.call_treatment(closed, "wall.get", TokenKind.USER, own=False) is T.DENIED
    assert vk.call_treatment(scope, "wall.get", TokenKind.USER, own=False) is T.MISSING_SCOPE
    assert vk.call_treatment({"error_code": 7}, "wall.createComment", TokenKind.GROUP, own=True) is T.MISSING_SCOPE
    assert vk.call_treatment({"error_code": 7}, "wall.createComment", TokenKind.USER, own=False) is T.DENIED


def test_unknown_codes_are_client_errors() -> None:
    assert vk.call_treatment({"error_code": 424_242}, "wall.get", TokenKind.USER, own=False) is T.CLIENT_ERROR
    assert vk.call_treatment({"error_code": "5"}, "wall.get", TokenKind.USER, own=False) is T.CLIENT_ERROR
    assert ok.treatment(424_242) is T.CLIENT_ERROR


def test_challenge_of_either_format_is_kept_with_all_digits() -> None:
    now = {"error_code": 14, "redirect_uri": "https://id.example/c", "remixstlid": 9_007_199_254_740_997}
    old = {"error_code": 14, "captcha_sid": "12", "captcha_img": "https://example/c.png"}
    assert vk.extract_challenge(now) == {"redirect_uri": "https://id.example/c", "remixstlid": "9007199254740997"}
    assert vk.extract_challenge(old) == {"captcha_sid": "12", "captcha_img": "https://example/c.png"}
    assert vk.extract_challenge({"error_code": 5}) is None
