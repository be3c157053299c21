"""Sort keys and LIKE patterns of names. Stored names and search words are normalised alike."""


def sort_key(name: str) -> str:
    """Return the name as it is sorted and searched: lower case, «ё» as «е», single spaces.

    The database sorts by code point, where «ё» would follow «я».
    """
    return " ".join(name.lower().replace("ё", "е").split())


def like_patterns(words: str) -> list[str]:
    r"""Return one LIKE pattern (escape `\`) per word. A name matches when it matches all of them."""
    escaped = sort_key(words).replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return [f"%{word}%" for word in escaped.split()]
