"""LIKE patterns of names. Stored names and search words are normalised alike."""

from shared.text.normalize import sort_key


def like_patterns(words: str) -> list[str]:
    r"""Return one LIKE pattern (escape `\`) per word. A name must match all patterns."""
    escaped = sort_key(words).replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return [f"%{word}%" for word in escaped.split()]
