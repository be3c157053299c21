"""The navigation: each key opens one page, and each link has its own order in its section."""

import pytest

from services.console import pages
from services.console.site.page import NavigationLink, Section, find_pages
from services.console.site.site import Site


def link(path: str, order: int, key: str | None = None) -> NavigationLink:
    """Return a link that everybody sees."""
    return NavigationLink(Section.WORK, order, path, path, key=key)


def test_links_of_all_pages_are_accepted() -> None:
    links = [found for page in find_pages(pages) for found in page.links]
    assert [one.path for one in Site(links).links][:2] == ["/inbox", "/overdue"]


def test_same_key_of_two_pages_is_refused() -> None:
    with pytest.raises(ValueError, match="/one and /two"):
        Site([link("/one", 1, "a"), link("/two", 2, "a")])


def test_same_order_of_two_links_in_a_section_is_refused() -> None:
    with pytest.raises(ValueError, match="/one and /two"):
        Site([link("/one", 1), link("/two", 1)])


def test_links_without_a_key_are_accepted() -> None:
    assert len(Site([link("/one", 1), link("/two", 2)]).links) == 2
