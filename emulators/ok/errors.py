"""Error codes of the REST and Bot APIs, and the response body that contains them."""

from typing import Any

CATALOGUE: dict[int, tuple[str, str]] = {
    1: ("UNKNOWN", "Unknown error"),
    2: ("SERVICE", "Service is temporary unavailable."),
    3: ("METHOD", "Method does not exist."),
    4: ("REQUEST", "Invalid request"),
    7: ("ACTION_BLOCKED", "Action is blocked"),
    8: ("FLOOD_BLOCKED", "Call blocked due to flood protection"),
    9: ("IP_BLOCKED", "Call blocked due to IP restriction"),
    10: ("PERMISSION_DENIED", "User must be granted access to the object"),
    11: ("LIMIT_REACHED", "Call limit reached"),
    12: ("CANCELLED", "Operation was cancelled"),
    21: ("NOT_MULTIPART", "Not a multi-part request"),
    22: ("NOT_ACTIVATED", "User must complete registration"),
    23: ("NOT_YET_INVOLVED", "User is not involved"),
    24: ("NOT_OWNER", "User is not the owner of the object"),
    25: ("NOT_ACTIVE", "User is not active"),
    26: ("TOTAL_LIMIT_REACHED", "Total limit reached"),
    30: ("NETWORK", "Network error"),
    31: ("NETWORK_TIMEOUT", "Network timeout"),
    50: ("NOT_ADMIN", "User is not an administrator of the group"),
    100: ("PARAM", "Missing or invalid parameter"),
    101: ("PARAM_API_KEY", "Application does not exist"),
    102: ("PARAM_SESSION_EXPIRED", "Session expired"),
    103: ("PARAM_SESSION_KEY", "Invalid session key"),
    104: ("PARAM_SIGNATURE", "Invalid signature"),
    105: ("PARAM_RESIGNATURE", "Invalid repeated signature"),
    106: ("PARAM_ENTITY_ID", "Invalid discussion id"),
    110: ("PARAM_USER_ID", "Invalid user id"),
    140: ("PARAM_MESSAGE_ID", "Invalid message id"),
    141: ("PARAM_COMMENT_ID", "Invalid comment id"),
    160: ("PARAM_GROUP_ID", "Invalid group id"),
    200: ("PARAM_PERMISSION", "Application lacks the permission"),
    210: ("PARAM_APPLICATION_DISABLED", "Application is disabled"),
    220: ("PARAM_FIELDSET", "Unknown field set"),
    300: ("NOT_FOUND", "Object not found"),
    451: ("NOT_SESSION_METHOD", "Method must be called without a session"),
    453: ("SESSION_REQUIRED", "Session is required"),
    454: ("CENSOR_MATCH", "Text is refused by the censor"),
    455: ("FRIEND_RESTRICTION", "Friend restriction"),
    456: ("GROUP_RESTRICTION", "Group restriction"),
    457: ("UNAUTHORIZED_RESTRICTION", "Not authorized"),
    458: ("PRIVACY_RESTRICTION", "Privacy settings forbid it"),
    511: ("IDS_BLOCKED", "Blocked by antispam"),
    514: ("PHONE_VERIFICATION_REQUIRED", "Verification is needed"),
    700: ("COMMENT_NOT_FOUND", "Comment not found"),
    701: ("INVALID_AUTHOR", "Comment belongs to another author"),
    702: ("COMMENT_NOT_ACTIVE", "Comment was removed"),
    704: ("TIMEOUT_EXCEEDED", "Time to edit is over"),
    705: ("CHAT_NOT_FOUND", "Chat not found"),
    601: ("MEDIA_TOPIC_TEXT_LIMIT", "Text of the media topic is too long"),
    706: ("MESSAGE_NOT_FOUND", "Message not found"),
    900: ("NO_SUCH_APP", "No such application"),
    1200: ("BATCH", "Batch failed"),
    2001: ("GRAPH_PARAM_REQUEST", "Invalid request parameter"),
    5000: ("INVALID_RESPONSE", "Invalid response"),
    9999: ("SYSTEM", "Critical system error"),
}


class OkError(Exception):
    """An error response of the network, with HTTP status 200."""

    def __init__(self, code: int, detail: str | None = None, data: str | None = None) -> None:
        name, default = CATALOGUE.get(code, ("UNKNOWN", "Unknown error"))
        self.code = code
        self.message = f"{name} : {detail or default}"
        self.data = data
        super().__init__(self.message)

    def body(self) -> dict[str, Any]:
        """Return the JSON body: code, text and optional data."""
        return {"error_code": self.code, "error_msg": self.message, "error_data": self.data}

    def headers(self) -> dict[str, str]:
        """Return the response headers, which repeat the code."""
        return {"invocation-error": str(self.code)}
