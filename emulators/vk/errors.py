"""Errors of the VK API: codes, fixed texts and the envelope."""

from collections.abc import Mapping
from typing import Any

from emulators.common.errors import RefusedError

MESSAGES = {
    1: "Unknown error occurred",
    2: "Application is disabled. Enable your application or use test mode",
    3: "Unknown method passed",
    5: "User authorization failed",
    6: "Too many requests per second",
    7: "Permission to perform this action is denied",
    8: "Invalid request",
    9: "Flood control",
    10: "Internal server error",
    12: "Unable to compile code",
    13: "Runtime error occurred during code invocation",
    14: "Captcha needed",
    15: "Access denied",
    17: "Validation required",
    18: "User was deleted or banned",
    19: "Content blocked",
    27: "Group authorization failed",
    28: "Application authorization failed",
    29: "Rate limit reached",
    30: "This profile is private",
    100: "One of the parameters specified was missing or invalid",
    104: "Not found",
    113: "Invalid user id",
    118: "Invalid server",
    121: "Invalid hash",
    125: "Invalid group id",
    129: "Invalid photo",
    203: "Access to group denied",
    210: "Access to wall's post denied",
    211: "Access to wall's comment denied",
    212: "Access to post comments denied",
    213: "Access to status replies denied",
    214: "Access to adding post denied",
    222: "Hyperlinks are forbidden",
    900: "Can't send messages for users from blacklist",
    901: "Can't send messages for users without permission",
    902: "Can't send messages to this user due to their privacy settings",
    909: "Can't edit this message, because it's too old",
    912: "This is a chat bot feature, change this status in settings",
    914: "Message is too long",
    917: "You don't have access to this chat",
    922: "You left this chat",
    924: "Can't delete this message for everybody",
    925: "You are not admin of this chat",
    927: "Chat does not exist",
    932: "Your community can't interact with this peer",
    935: "User not found in chat",
    936: "Contact not found",
    945: "Chat was disabled",
    946: "Chat not supported",
    950: "Can't send message, reply timed out",
    962: "You can't access donut chat without subscription",
    1012: "Writing is disabled for this chat",
    2000: "Servers number limit is reached",
}


def vk_error(code: int, detail: str = "") -> RefusedError:
    """Return the error with the fixed text of the code and, after a colon, the detail."""
    message = MESSAGES.get(code, "Unknown error occurred")
    return RefusedError(code, f"{message}: {detail}" if detail else message)


def envelope(code: int, message: str, method: str, params: Mapping[str, str], base_url: str) -> dict[str, Any]:
    """Return the body of a failed call, with the call's parameters except the token."""
    echoed = [{"key": "oauth", "value": "1"}, {"key": "method", "value": method}]
    echoed += [{"key": key, "value": value} for key, value in params.items() if key != "access_token"]
    error: dict[str, Any] = {"error_code": code, "error_msg": message, "request_params": echoed}
    if code == 14:
        # Both formats: older clients use the picture, newer clients the redirect.
        error |= {
            "captcha_sid": "100000000001",
            "captcha_img": f"{base_url}/captcha.php?sid=100000000001",
            "redirect_uri": f"{base_url}/not_robot?session_token=emulated",
            "remixstlid": 9_007_199_254_740_997,
        }
    if code == 17:
        error["redirect_uri"] = f"{base_url}/security_check"
    return {"error": error}
