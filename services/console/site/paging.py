"""Addresses of the next page of a list whose API leads forward only."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode


def page_addresses(path: str, query: Mapping[str, str], listed: Mapping[str, Any]) -> dict[str, Any]:
    """Return `first` and `after`: the address of the list's beginning, and of its next page if there is one."""
    kept = {name: value for name, value in query.items() if value}
    cursor = listed.get("next_cursor")
    return {
        "first": f"{path}?{urlencode(kept)}" if kept else path,
        "after": f"{path}?{urlencode(kept | {'cursor': cursor})}" if cursor else None,
    }
