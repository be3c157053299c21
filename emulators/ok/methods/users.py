"""users.*: the calling user and the remaining calls."""

from typing import Any

from emulators.ok import serializers
from emulators.ok.rest_call import METHODS, RestCall, method

LIMIT_REACHED = 11


@method("users.getCurrentUser")
def get_current_user(call: RestCall) -> dict[str, Any]:
    """Return the user of the session."""
    return {**serializers.user(call.world, call.user), "locale": "ru", "gender": "female", "has_email": False}


@method("users.getCallsLeft")
def get_calls_left(call: RestCall) -> list[dict[str, Any]]:
    """Return the calls that remain today for the requested methods, as `{name, callsLeft, available}`."""
    call.text("uid")
    call.text("methods")
    answer = []
    for name in call.values("methods"):
        left = call.world.calls_left(call.session.key, name) if name in METHODS else 0
        if call.world.faults.persistent.is_active(call.session.key, name, LIMIT_REACHED):
            left = 0
        answer.append({"name": name, "callsLeft": left, "available": left > 0})
    return answer
