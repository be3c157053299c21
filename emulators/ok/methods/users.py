"""users.*: who is calling and how much may still be called."""

from typing import Any

from emulators.ok import serializers
from emulators.ok.rest_call import METHODS, RestCall, method

LIMIT_REACHED = 11


@method("users.getCurrentUser")
def get_current_user(call: RestCall) -> dict[str, Any]:
    """The user the session belongs to."""
    return {**serializers.user(call.world, call.user), "locale": "ru", "gender": "female", "has_email": False}


@method("users.getCallsLeft")
def get_calls_left(call: RestCall) -> list[dict[str, Any]]:
    """What the day still allows of the methods asked for, as `{name, callsLeft, available}`."""
    call.text("uid")
    call.text("methods")
    answer = []
    for name in call.values("methods"):
        left = call.world.calls_left(call.session.key, name) if name in METHODS else 0
        if call.world.faults.persistent.is_active(call.session.key, name, LIMIT_REACHED):
            left = 0
        answer.append({"name": name, "callsLeft": left, "available": left > 0})
    return answer
