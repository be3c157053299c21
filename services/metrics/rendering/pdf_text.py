"""Texts of a PDF: only characters that the embedded fonts have, with places to break very long words.

PDF/UA forbids characters without a glyph. A citizen's emoji becomes «[эмодзи]» instead of an empty box.
"""

import re
import unicodedata

from services.metrics.rendering.visible_text import visible

# First and last code points that the fonts of the typst wheel have, Libertinus Serif or else DejaVu Sans Mono.
COVERED_RANGES = (
    (0x20, 0x7E), (0xA0, 0xAC), (0xAE, 0x2FF), (0x370, 0x377), (0x37A, 0x37F), (0x384, 0x38A), (0x38C, 0x38C),
    (0x38E, 0x3A1), (0x3A3, 0x482), (0x48A, 0x4FF), (0x510, 0x513), (0x51A, 0x51D), (0x1E00, 0x1EFF),
    (0x2000, 0x200A), (0x2010, 0x2027), (0x202F, 0x2040), (0x2044, 0x2052), (0x2054, 0x205F), (0x2070, 0x2071),
    (0x2074, 0x208E), (0x2090, 0x209C), (0x20A0, 0x20C0), (0x2100, 0x211E), (0x2120, 0x2120), (0x2122, 0x2122),
    (0x2124, 0x2124), (0x2126, 0x2151), (0x2153, 0x2184), (0x2190, 0x23FF), (0x2460, 0x262F), (0x2638, 0x268B),
    (0x2690, 0x269C), (0x26A0, 0x26A7), (0x26AA, 0x26B2), (0x2701, 0x2704), (0x2706, 0x2709), (0x270C, 0x2727),
    (0x2729, 0x274B), (0x274D, 0x274D), (0x274F, 0x2752), (0x2756, 0x2756), (0x2758, 0x275E), (0x2761, 0x277F),
    (0x2794, 0x2794), (0x2798, 0x27AF), (0x27B1, 0x2B73), (0x2B76, 0x2B95), (0x2B97, 0x2BFF),
)  # fmt: skip
_COVERED = "".join(f"{chr(first)}-{chr(last)}" for first, last in COVERED_RANGES[1:])
# The first range has characters that mean something in a pattern.
_MISSING = re.compile(f"[^\\n\\t\\x20-\\x7e{_COVERED}]+")
_LONG_WORD = re.compile(r"[^\s\u00a0\u202f]{41,}")
_DIGEST = re.compile("[0-9a-f]{64}")
_PIECE = 20
_BREAK = "\N{ZERO WIDTH SPACE}"
EMOJI = "[эмодзи]"
OTHER_SCRIPT = "[иное письмо]"


def printable(text: str) -> str:
    """Return the text as the PDF shows it: a word in brackets for each run of characters without a glyph."""
    composed = unicodedata.normalize("NFC", visible(text))
    # Joiners, selectors and marks that do not combine with their letter belong to what stands before them.
    plain = "".join(letter for letter in composed if unicodedata.category(letter) not in {"Mn", "Me", "Cf"})
    return _LONG_WORD.sub(_breakable, _MISSING.sub(_named, plain))


def _named(found: re.Match[str]) -> str:
    is_letters = any(unicodedata.category(letter)[0] == "L" for letter in found[0])
    return OTHER_SCRIPT if is_letters else EMOJI


def _breakable(found: re.Match[str]) -> str:
    word = found[0]
    if _DIGEST.fullmatch(word):
        return word
    return _BREAK.join(word[at : at + _PIECE] for at in range(0, len(word), _PIECE))
