"""Files named in documents and targets of links exist."""

import re
from itertools import product
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOP = ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md")
DOCUMENTS = sorted([*(ROOT / name for name in TOP), *(ROOT / "docs").rglob("*.md")])
# Documents that mention classes, functions and fields of the code.
FOR_DEVELOPERS = sorted([ROOT / "CONTRIBUTING.md", *(ROOT / "docs" / "developer").glob("*.md")])
FOLDERS = {path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")}

_BLOCK = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
_QUOTED = re.compile(r"`([^`]+)`")
_ALTERNATIVES = re.compile(r"\{([^{}]*)\}")
_PLACEHOLDER = re.compile(r"<[^<>]*>|\*+")
_LINK = re.compile(r"\]\(([^()\s#]+)(?:#[^()\s]*)?\)")
_ANCHOR = re.compile(r"\]\(([^()\s#:]*)#([^()\s]+)\)")
_SYMBOL = re.compile(r"`([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)?)(?:\([^`]*\))?`")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def named_paths(text: str) -> set[str]:
    """Return quoted words that are paths: they begin with a folder of the repository or name a module."""
    return {
        word.rstrip(".,:;")
        for quoted in _QUOTED.findall(_BLOCK.sub("", text))
        for word in quoted.split()
        if (word.split("/")[0] in FOLDERS and "/" in word) or re.fullmatch(r"[\w/*{},]+\.py", word)
    }


def is_there(path: str) -> bool:
    """Return whether every alternative (`{a,b}`) exists; `*` and `<name>` match any name.

    A module may be given by the end of its path and without its suffix.
    """
    parts = _ALTERNATIVES.split(path)
    choices = [part.split(",") if at % 2 else [part] for at, part in enumerate(parts)]
    for choice in product(*choices):
        pattern = _PLACEHOLDER.sub("*", "".join(choice)).rstrip("/")
        rooted = "/" in path and pattern.split("/")[0] in FOLDERS
        wanted = [pattern, f"{pattern}.py"] if rooted else [f"{folder}/**/{pattern}" for folder in FOLDERS]
        if not any(next(ROOT.glob(one), None) for one in wanted):
            return False
    return True


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_named_files_and_linked_documents_exist(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    links = {link for link in _LINK.findall(text) if "://" not in link}
    missing = {path for path in named_paths(text) if not is_there(path)}
    missing |= {link for link in links if not (document.parent / link).exists()}
    assert missing == set()


def anchors(document: Path) -> set[str]:
    """Return the anchors that GitHub makes from the headings of a document."""
    text = _BLOCK.sub("", document.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in _HEADING.findall(text)}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_linked_headings_exist(document: Path) -> None:
    links = _ANCHOR.findall(document.read_text(encoding="utf-8"))
    missing = {
        f"{target}#{anchor}"
        for target, anchor in links
        if anchor not in anchors(document.parent / target if target else document)
    }
    assert missing == set()


@pytest.fixture(scope="module")
def identifiers() -> set[str]:
    """Return every word of the Python sources."""
    sources = (path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
    return {word for path in sources for word in re.findall(r"\w+", path.read_text(encoding="utf-8"))}


@pytest.mark.parametrize("document", FOR_DEVELOPERS, ids=lambda path: str(path.relative_to(ROOT)))
def test_symbols_named_in_developer_documents_exist(document: Path, identifiers: set[str]) -> None:
    text = _BLOCK.sub("", document.read_text(encoding="utf-8"))
    symbols = {word for symbol in _SYMBOL.findall(text) for word in symbol.split(".")}
    assert symbols - identifiers == set()


def test_path_that_does_not_exist_is_reported() -> None:
    text = "see `services/appeals/stems.py`, `workflow.py` and `GET /api/v1/topics`\n```\n`tests/none.py`\n```\n"
    assert named_paths(text) == {"services/appeals/stems.py", "workflow.py"}
    assert not is_there("services/appeals/stems.py")
    assert not is_there("no_such_module.py")
    assert is_there("workflow.py")
    assert is_there("services/ingest/networks/{vk,ok}/")
    assert not is_there("services/ingest/networks/{vk,xx}")
    assert is_there("shared/topic_taxonomy/<version>.csv")
    assert is_there("migrations/versions/0002_*")
    assert is_there("migrations/")
    assert is_there("bench/pipeline")
