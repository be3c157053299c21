"""The parameter `fields`: names such as `comment.DATE_MS` or `comment.*`, in any case.

A call with a name that the network does not know is refused as a whole. A name must have the prefix of its object.
"""

from emulators.ok.errors import OkError
from emulators.ok.rest_call import RestCall

_COMMENT = (
    "id author_id author_name author_type author_ref text date date_ms type like_count liked_it attrs"
    " reply_to_comment_id reply_to_id reply_to_name attachments"
)
_TOPIC = "id created_ms author_ref owner_ref media like_summary reshare_summary discussion_summary"
# None: the names are not checked.
KNOWN_FIELDS: dict[str, frozenset[str] | None] = {
    "comment": frozenset(_COMMENT.split()),
    "media_topic": frozenset(_TOPIC.split()),
    "user": None,
    "group": None,
}
ALL_TOPIC_FIELDS = frozenset(f"media_topic.{name}" for name in _TOPIC.split())


def requested_fields(call: RestCall, *objects: str) -> frozenset[str]:
    """Return the requested fields of these objects in lower case, such as `comment.date_ms`, `comment.*` resolved.

    Raises error 220 (see `field_error`) for an unknown field, an unknown object, or a name without an object.
    """
    settings = call.world.settings
    unknown = {name.lower() for name in settings.unknown_fields}
    found: set[str] = set()
    for name in call.values("fields"):
        bean, _, field = name.lower().rpartition(".")
        known = KNOWN_FIELDS[bean] if bean in objects else frozenset()
        is_known = bean in objects and (known is None or field == "*" or field in known)
        if not is_known or f"{bean}.{field}" in unknown:
            raise OkError(settings.field_error, f"Field '{field.upper()}' does not exist", "fields")
        if field == "*" and known is not None:
            found |= {f"{bean}.{one}" for one in known} - unknown
        found.add(f"{bean}.{field}")
    return frozenset(found)
