"""docs/glossary.md names only existing modules and defines each term once."""

import re
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]
GLOSSARY = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
# Term, definition, module in backticks, and for domain terms the Russian word.
ROW = re.compile(
    r"^\| (?P<term>[^|]+) \| [^|]+ \| `(?P<module>[^`|]+)` \|(?: (?P<russian>[^|]+) \|)?$",
    re.MULTILINE,
)
ROWS = list(ROW.finditer(GLOSSARY))


def test_every_row_of_the_glossary_has_term_definition_and_module() -> None:
    lines = [line for line in GLOSSARY.splitlines() if line.startswith("| ")]
    headings = [line for line in lines if line.startswith("| term |")]
    assert len(ROWS) == len(lines) - len(headings)


def test_every_module_of_the_glossary_exists() -> None:
    assert [row["module"] for row in ROWS if not (ROOT / row["module"]).is_file()] == []


def test_every_term_of_the_glossary_occurs_once() -> None:
    assert [term for term, count in Counter(row["term"] for row in ROWS).items() if count > 1] == []


def test_every_domain_term_of_the_glossary_has_a_russian_word() -> None:
    domain = GLOSSARY[: GLOSSARY.index("## Technical terms")]
    assert [row["term"] for row in ROW.finditer(domain) if not row["russian"]] == []
