"""Characters that XML 1.0 forbids, in documents and in workbooks, which are XML too."""

import re

_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def without_forbidden(text: str) -> str:
    """Return the text with a space for each character that XML forbids."""
    return _FORBIDDEN.sub(" ", text)
