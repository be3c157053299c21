"""Methods `utils.*`."""

from typing import Any

from emulators.vk.errors import vk_error
from emulators.vk.methods.method_table import MethodCall, method


@method("utils.resolveScreenName", "UGS")
def resolve_screen_name(call: MethodCall) -> Any:
    """Return the object that a short name refers to; an empty list if there is none."""
    name = call.text("screen_name").strip().lower()
    if not name:
        raise vk_error(100, "screen_name is undefined")
    row = call.world.store.one("SELECT id FROM pages WHERE screen_name = ?", (name,))
    for prefix in ("club", "public", "event"):
        number = name.removeprefix(prefix)
        if row is None and number != name and number.isascii() and number.isdigit():
            row = call.page(int(number[:18]))
    if row is not None:
        return {"object_id": row["id"], "group_id": row["id"], "type": "page"}
    number = name.removeprefix("id")
    if number != name and number.isascii() and number.isdigit() and int(number[:18]) > 0:
        return {"object_id": int(number[:18]), "type": "user"}
    return []
