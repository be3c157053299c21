"""Remove invisible characters from citizens' texts, and characters that reorder the text around them."""

import re

# Control characters except line feed and tab; characters that XML forbids; characters that change the direction of
# writing, by which a text could reorder the text next to it.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\ufffe\uffff\U000e0000-\U000e007f]"
)
_LINE_ENDS = re.compile("\r\n?|[\u2028\u2029]")


def visible(text: str) -> str:
    """Return the text with line feeds as the only line ends and without invisible characters."""
    return _UNSEEN.sub("", _LINE_ENDS.sub("\n", text))
