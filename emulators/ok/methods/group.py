"""group.*: profiles and counters of groups."""

from typing import Any

from emulators.ok import serializers
from emulators.ok.errors import OkError
from emulators.ok.rest_call import RestCall, method

DEFAULT_FIELDS = ("uid", "name", "description", "shortname", "members_count")


@method("group.getInfo")
def get_info(call: RestCall) -> Any:
    """Return the requested groups, by default as a bare array; unknown groups are left out."""
    uids = call.values("uids")
    if not uids:
        raise OkError(100, "Missing required parameter uids", "uids")
    if len(uids) > call.world.settings.page_size_max:
        raise OkError(160, "Too many groups", "uids")
    fields = {field.rpartition(".")[2] for field in call.values("fields")}
    wanted = None if "*" in fields else {"uid"} | (fields or set(DEFAULT_FIELDS))
    found = []
    for uid in uids:
        row = call.world.page_row(uid.removeprefix("group:"))
        if row is None or call.world.rules.get(row["uid"]).removed:
            continue
        info = serializers.group_info(call.world, row)
        if call.uid is not None and call.world.discussions.administers(call.uid, row["uid"]):
            info["role"] = "ADMIN"
        found.append({key: value for key, value in info.items() if wanted is None or key in wanted})
    return found if call.world.settings.group_info_answer == "array" else {"groups": found}


@method("group.getUserGroupsV2")
def get_user_groups(call: RestCall) -> dict[str, Any]:
    """Return the groups of a user, ordered by id; the last page has no anchor."""
    uid = call.optional("uid") or call.user
    after = call.optional("anchor") or ""
    count = call.count(20)
    rows = call.world.pages_of_admin(uid, after, count + 1)
    answer: dict[str, Any] = {"groups": [{"groupId": row["uid"], "userId": uid} for row in rows[:count]]}
    if len(rows) > count:
        answer["anchor"] = rows[count - 1]["uid"]
    return answer


@method("group.getCounters")
def get_counters(call: RestCall) -> dict[str, Any]:
    """Return the requested counters of a group."""
    row = call.world.readable_page(call.uid, call.text("group_id"))
    known = {
        "themes": call.world.topic_count(row["uid"]),
        "members": row["members_count"],
        "photo_albums": 0,
        "videos": 0,
        "links": 0,
    }
    asked = call.values("counterTypes")
    if not asked:
        raise OkError(100, "Missing required parameter counterTypes", "counterTypes")
    return {"counters": {name.lower(): known[name.lower()] for name in asked if name.lower() in known}}
