"""Methods `users.*`."""

from typing import Any

from emulators.vk.errors import vk_error
from emulators.vk.methods.method_table import MethodCall, method

_ALWAYS = ("id", "first_name", "last_name", "can_access_closed", "is_closed", "deactivated")


@method("users.get", "UGS")
def get(call: MethodCall) -> list[dict[str, Any]]:
    """Return people by id; without ids, the person of the user token."""
    names = call.list_param("user_ids") or call.list_param("user_id")
    if not names and call.token.user_id is not None:
        names = [str(call.token.user_id)]
    fields = {*_ALWAYS, *call.list_param("fields")}
    users = []
    for name in names[:1_000]:
        number = name.removeprefix("id")
        if not (number.isascii() and number.isdigit() and int(number[:18]) > 0):
            raise vk_error(113)
        profile = call.world.people.profile(int(number[:18]))
        users.append({key: value for key, value in profile.items() if key in fields})
    return users
