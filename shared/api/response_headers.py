"""Headers of responses, as components of the OpenAPI document."""

from typing import Any

COMPONENTS: dict[str, Any] = {
    "ETag": {
        "description": "The version, for `If-Match`; some reads add a mark of the content, for `If-None-Match`",
        "schema": {"type": "string"},
        "example": '"3"',
    },
    "Idempotent-Replay": {
        "description": "`true`: the first response to this `Idempotency-Key` is repeated, nothing was done again",
        "schema": {"type": "string", "const": "true"},
        "example": "true",
    },
    "Link": {
        "description": "The next page and, in some lists, the previous one (RFC 8288); absent if there is none",
        "schema": {"type": "string"},
        "example": '</api/v1/appeals?status=triage&cursor=MzY0>; rel="next"',
    },
    "Location": {
        "description": "The path of the resource that was created",
        "required": True,
        "schema": {"type": "string"},
        "example": "/api/v1/appeals/0193f0a4-7c11-7d0e-9d5b-3f1f5a4f2b10",
    },
    "RateLimit": {
        "description": "How many requests are left (`r`), and in how many seconds the limit is full again (`t`)",
        "required": True,
        "schema": {"type": "string"},
        "example": '"default";r=594;t=1',
    },
    "RateLimit-Policy": {
        "description": "How many requests (`q`) a caller may send in a window of seconds (`w`)",
        "required": True,
        "schema": {"type": "string"},
        "example": '"default";q=600;w=60',
    },
    "Retry-After": {
        "description": "Seconds to wait, or the moment to wait for",
        "schema": {"type": "string"},
        "example": "5",
    },
    "WWW-Authenticate": {
        "description": "How to authenticate",
        "required": True,
        "schema": {"type": "string"},
        "example": 'Bearer realm="gospablik"',
    },
}


def declared(*names: str) -> dict[str, Any]:
    """Return the `headers` of a response that has these headers."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in sorted(names)}


def with_headers(status: int, *names: str) -> dict[int | str, dict[str, Any]]:
    """Return the `responses` of a route whose success has headers that cannot be derived from its dependencies."""
    return {status: {"headers": declared(*names)}}
