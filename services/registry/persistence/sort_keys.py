"""How names are listed and found: one folding for what is stored and what is asked for."""


def sort_key(name: str) -> str:
    """The name as it is sorted and searched: lower case, «ё» as «е», single spaces.

    The database sorts by code point, where «ё» would come after «я».
    """
    return " ".join(name.lower().replace("ё", "е").split())


def like_patterns(words: str) -> list[str]:
    """One LIKE pattern (escape `\\`) for each word asked for; a name fits when it fits all of them."""
    escaped = sort_key(words).replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return [f"%{word}%" for word in escaped.split()]
