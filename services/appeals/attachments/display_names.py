"""Display names of uploaded files. They are only shown: no path is built from them."""

import re
import unicodedata

MAX_LENGTH = 80
DEFAULT_NAME = "photo"
EXTENSION = ".jpg"
# Characters that Windows forbids in names.
_FORBIDDEN = re.compile(r'[<>:"|?*]')
_WHITE_SPACE = re.compile(r"\s+")
_EXTENSION = re.compile(r"\.[A-Za-z0-9]{1,5}$")


def display_name(given: str | None) -> str:
    """Return the name to show for an uploaded file: its last path component, with the extension of a JPEG.

    Control characters, and marks that change the direction of the text, are left out.
    """
    last = re.split(r"[/\\]", given or "")[-1]
    spaced = _WHITE_SPACE.sub(" ", unicodedata.normalize("NFC", last))
    # Category C: control and format characters (direction marks among them), surrogates, code points that are
    # unassigned or for private use.
    visible = "".join(letter for letter in spaced if not unicodedata.category(letter).startswith("C"))
    stem = _EXTENSION.sub("", _FORBIDDEN.sub("_", visible).strip(" ."))
    return (stem[:MAX_LENGTH].strip(" .") or DEFAULT_NAME) + EXTENSION
