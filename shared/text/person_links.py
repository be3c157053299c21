"""Links to people of the networks in texts: which people, and removal of the links to some of them."""

import re
from collections.abc import Collection

_VK, _OK = r"(?:vk\.(?:com|ru|me)|vkontakte\.ru)", r"(?:ok|odnoklassniki)\.ru/profile/"
_SITE = r"(?:https?://)?(?:m\.|www\.)?"
# Links in a text to a person, by id; networks write the name into some of them.
_LINK = re.compile(
    rf"\[(?:{_SITE}{_VK}/)?id(\d{{1,20}})(?::[^|\]\n]{{0,60}})?\|[^\]\n]{{0,120}}\]"
    rf"|\[{_SITE}{_OK}(\d{{1,20}})\|[^\]\n]{{0,120}}\]"
    r"|(?<![\w.@*])[@*]id(\d{1,20})(?!\w)(?: ?\([^()\n]{1,60}\))?"
    rf"|(?<![\w.]){_SITE}(?:{_VK}/(?:id|write|gim\d*\?sel=|im\?sel=)|{_OK})(\d{{1,20}})(?![0-9A-Za-z_])"
    r"(?:[/?#][^\s<>\"«»]{0,500})?",
    re.IGNORECASE,
)


def linked_in(text: str) -> set[str]:
    """Return the numbers of the people to whom a text links."""
    if not _may_have_links(text):
        return set()
    return {_number(found) for found in _LINK.finditer(text)}


def without_links(text: str, people: Collection[str], replacement: str) -> str:
    """Return the text with the links to these people replaced, with the names in them."""
    if not _may_have_links(text):
        return text
    return _LINK.sub(lambda found: replacement if _number(found) in people else found[0], text)


def _may_have_links(text: str) -> bool:
    """Return whether a link to a person is possible. Most texts have none, and the expression is slow."""
    return "id" in text or "ID" in text or "/profile/" in text or "sel=" in text or "/write" in text


def _number(found: re.Match[str]) -> str:
    return next(number for number in found.groups() if number)
