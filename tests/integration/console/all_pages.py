"""All routes that show pages, and a parser of their HTML."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

from fastapi.routing import iter_route_contexts

from services.console import pages
from services.console.site.page import find_pages

FOUND = find_pages(pages)
_VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
# Elements that mark found words and differences, and line breaks: their number depends on the text.
_MARKS = {"mark", "ins", "del", "br", "wbr"}


def get_routes() -> list[str]:
    """Return the path template of every page that answers GET requests, sorted."""
    return sorted(
        {
            route.path
            for page in FOUND
            for route in iter_route_contexts(page.router.routes)
            if "GET" in (route.methods or ()) and route.path is not None
        }
    )


@dataclass
class Text:
    """A text of a page, and the elements around it with their classes, outermost first."""

    content: str
    around: list[tuple[str, frozenset[str]]]

    def is_within(self, tag: str | None = None, css: str | None = None) -> bool:
        """Return True if an element around the text has this tag or this class."""
        return any(name == tag or css in classes for name, classes in self.around)


@dataclass
class Parsed(HTMLParser):
    """The elements, attributes and texts of a page."""

    html: str
    elements: set[tuple[str, tuple[str, ...]]] = field(default_factory=set)
    attributes: list[tuple[str, str, str]] = field(default_factory=list)
    texts: list[Text] = field(default_factory=list)
    _open: list[tuple[str, frozenset[str]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.feed(self.html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _MARKS:
            self.elements.add((tag, tuple(sorted(name for name, _ in attrs))))
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in _VOID:
            self._open.append((tag, frozenset((dict(attrs).get("class") or "").split())))

    def handle_endtag(self, tag: str) -> None:
        while self._open:
            name, _ = self._open.pop()
            if name == tag:
                return

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append(Text(data, list(self._open)))

    def links(self) -> Iterator[tuple[str, str]]:
        """Yield the tag and the address of everything that links to or loads an address."""
        for tag, name, value in self.attributes:
            if name in {"href", "src", "action", "formaction", "hx-get", "hx-post", "poster", "data"}:
                yield tag, value
