"""Converts stored rows to the JSON objects of VK."""

import json
from collections.abc import Iterable
from typing import Any

from emulators.common.audience import PostAudience, post_audience
from emulators.common.clock import EmulatorClock
from emulators.common.store import EmulatorStore, Row
from emulators.vk.settings import VkSettings
from emulators.vk.state.people import People


def members_count(page: Row) -> int:
    """Return the number of subscribers of a community: made up unless the control API has set it."""
    count: int = json.loads(page["details"]).get("members_count", 1_000 + page["id"] % 9_000)
    return count


class Serializers:
    """Builds posts, comments, messages, conversations and communities."""

    def __init__(self, store: EmulatorStore, clock: EmulatorClock, people: People, settings: VkSettings) -> None:
        self._store = store
        self._clock = clock
        self.people = people
        self._settings = settings
        self._base_url = settings.base_url

    def group(self, row: Row, fields: frozenset[str] = frozenset()) -> dict[str, Any]:
        """Return the community object, with the optional fields that were requested."""
        photo = f"{self._base_url}/images/community_50.png"
        group: dict[str, Any] = {
            "id": row["id"],
            "name": row["name"],
            "screen_name": row["screen_name"],
            "is_closed": row["is_closed"],
            "type": "page",
            "photo_50": photo,
            "photo_100": photo,
            "photo_200": photo,
        }
        optional: dict[str, Any] = {
            "description": row["description"],
            "members_count": members_count(row),
            "wall": row["wall"],
            "can_post": int(row["wall"] == 1),
            "can_message": 1,
            "can_suggest": int(row["wall"] == 2),
            "verified": 1,
            "activity": "Государственная организация",
            "status": "",
            "site": "",
            "contacts": [],
            "addresses": {"is_enabled": False},
            "has_photo": 1,
            "cover": {"enabled": 0},
        } | json.loads(row["details"])
        if row["deactivated"]:
            group["deactivated"] = row["deactivated"]
        return group | {name: value for name, value in optional.items() if name in fields}

    def owners(self, ids: Iterable[int]) -> dict[str, Any]:
        """Return `profiles` and `groups` of the ids; communities have negative ids."""
        unique = sorted(set(ids))
        groups = [self._store.one("SELECT * FROM pages WHERE id = ?", (-owner,)) for owner in unique if owner < 0]
        return {
            "profiles": [self.people.profile(owner) for owner in unique if owner > 0],
            "groups": [self.group(row) for row in groups if row is not None],
        }

    def post(self, row: Row) -> dict[str, Any]:
        """Return the post object of 5.199."""
        owner = -row["page"]
        page = self._store.one("SELECT * FROM pages WHERE id = ?", (row["page"],))
        assert page is not None
        shut = row["closed"] or row["post_type"] == "suggest" or page["comments"] == "closed"
        audience = self.audience(page, row)
        post = {
            "inner_type": "wall_wallpost",
            "id": row["id"],
            "owner_id": owner,
            "from_id": row["from_id"],
            "date": int(row["at"]),
            "text": row["text"],
            "attachments": json.loads(row["attachments"]),
            "post_type": row["post_type"],
            "type": row["post_type"],
            "marked_as_ads": 0,
            "comments": {
                "count": self.comments_count(row["page"], row["id"]),
                "can_post": int(not shut),
                "can_view": 1,
                "groups_can_post": not shut,
            },
            "likes": {"count": audience.likes, "can_like": 1, "user_likes": 0, "can_publish": 1},
            "reposts": {
                "count": audience.reposts,
                "wall_count": audience.reposts,
                "mail_count": 0,
                "user_reposted": 0,
            },
            "views": {"count": audience.views},
            "post_source": {"type": "vk"},
            "donut": {"is_donut": False},
            "hash": f"{row['page']:x}_{row['id']:x}",
        }
        if row["signer_id"] is not None:
            post["signer_id"] = row["signer_id"]
        post |= json.loads(row["shared"])
        return post | ({"edited": int(row["edited"])} if row["edited"] else {})

    def audience(self, page: Row, post: Row) -> PostAudience:
        """Return the audience of a post until now; a suggested post has none."""
        age = self._clock.now() - post["at"] if post["post_type"] == "post" else 0
        return post_audience(page["id"], post["id"], members_count(page), age)

    def comments_count(self, page: int, post_id: int) -> int:
        """Return the number of comments of all levels that are not deleted."""
        count: int = self._store.value(
            "SELECT count(*) FROM comments WHERE page = ? AND post_id = ? AND NOT deleted", (page, post_id)
        )
        return count

    def thread(self, row: Row, items: int, *, closed: bool) -> dict[str, Any]:
        """Return the thread of a top-level comment with its first replies, or (`thread_items`) its newest ones."""
        where = "page = ? AND post_id = ? AND root_id = ? AND NOT deleted"
        key = (row["page"], row["post_id"], row["id"])
        newest = self._settings.thread_items == "newest"
        rows = self._store.all(
            f"SELECT * FROM comments WHERE {where} ORDER BY id {'DESC' if newest else ''} LIMIT ?",  # noqa: S608
            (*key, items),
        )
        return {
            "count": self._store.value(f"SELECT count(*) FROM comments WHERE {where}", key),  # noqa: S608
            "items": [self.comment(reply) for reply in sorted(rows, key=lambda reply: reply["id"])],
            "can_post": not closed,
            "show_reply_button": True,
            "groups_can_post": not closed,
        }

    def comment(self, row: Row, *, likes: bool = False) -> dict[str, Any]:
        """Return the comment object without its thread."""
        parents = [] if row["root_id"] is None else [row["root_id"]]
        if row["deleted"]:
            # A deleted comment with replies is returned without author, text, post and owner.
            return {"id": row["id"], "date": int(row["at"]), "parents_stack": parents, "deleted": True}
        comment = {
            "id": row["id"],
            "from_id": row["from_id"],
            "date": int(row["at"]),
            "text": row["text"],
            "post_id": row["post_id"],
            "owner_id": -row["page"],
            "parents_stack": parents,
        }
        attachments = json.loads(row["attachments"])
        if attachments:
            comment["attachments"] = attachments
        if row["reply_to"] is not None:
            target = self._store.one(
                "SELECT from_id FROM comments WHERE page = ? AND id = ?", (row["page"], row["reply_to"])
            )
            comment["reply_to_comment"] = row["reply_to"]
            if target is not None:
                comment["reply_to_user"] = target["from_id"]
        if likes:
            comment["likes"] = {"count": 0, "can_like": 1, "user_likes": 0, "can_publish": 0}
        return comment

    def comment_event(self, row: Row) -> dict[str, Any]:
        """Return the object of wall_reply_new, _edit and _restore."""
        event = self.comment(row) | {"post_owner_id": -row["page"]}
        if row["root_id"] is None:
            event["thread"] = {"count": 0, "items": [], "can_post": True, "show_reply_button": True}
        return event

    def message(self, row: Row, *, nested: bool = False) -> dict[str, Any]:
        """Return the message object; a message nested in `reply_message` has no `reply_message` itself."""
        out = int(row["from_id"] < 0)
        message = {
            "id": row["id"],
            "date": int(row["at"]),
            "peer_id": row["peer_id"],
            "from_id": row["from_id"],
            "out": out,
            "text": row["text"],
            "conversation_message_id": row["cmid"],
            "version": row["id"] * 10 + int(row["edited"] is not None),
            "attachments": json.loads(row["attachments"]),
            "fwd_messages": [],
            "important": False,
            "is_hidden": False,
            "random_id": row["random_id"],
        }
        if row["edited"]:
            message["update_time"] = int(row["edited"])
        if row["admin_id"]:
            message["admin_author_id"] = row["admin_id"]
        message |= json.loads(row["shared"])
        if row["reply_to"] is not None and not nested:
            target = self._store.one(
                "SELECT * FROM messages WHERE page = ? AND id = ?", (row["page"], row["reply_to"])
            )
            if target is not None:
                message["reply_message"] = self.message(target, nested=True)
        return message

    def conversation(self, row: Row) -> dict[str, Any]:
        """Return the conversation object of a stored conversation."""
        key = (row["page"], row["peer_id"])
        unread = self._store.value(
            "SELECT count(*) FROM messages WHERE page = ? AND peer_id = ? AND from_id > 0 AND +id > ?"
            " AND NOT deleted",
            (*key, row["in_read"]),
        )
        last = self._store.one(
            "SELECT * FROM messages WHERE page = ? AND peer_id = ? AND NOT deleted ORDER BY cmid DESC LIMIT 1", key
        )
        conversation = {
            "peer": {"id": row["peer_id"], "type": "user", "local_id": row["peer_id"]},
            "last_message_id": row["last_id"],
            "last_conversation_message_id": row["last_cmid"],
            "in_read": row["in_read"],
            "out_read": row["out_read"],
            "version": row["last_id"] * 10,
            "sort_id": {"major_id": 0, "minor_id": row["last_id"]},
            "is_marked_unread": False,
            "important": False,
            "unanswered": last is not None and last["from_id"] > 0,
            "can_write": {"allowed": True},
        }
        return conversation | ({"unread_count": unread} if unread else {})
