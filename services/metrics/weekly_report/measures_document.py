"""The tables of measures in `docs/moderator/weekly-report.md` and `docs/moderator/page-health.md`, in Markdown.

`python -m services.metrics.weekly_report.measures_document` writes them into the documents; a test checks that
they are current.
"""

import re
from pathlib import Path

from services.metrics.page_health.page_measures import PAGE_MEASURES
from services.metrics.rendering.labels import AXES
from services.metrics.weekly_report.measures import MEASURES

_DOCS = Path(__file__).parents[3] / "docs" / "moderator"
DOCUMENT, PAGE_DOCUMENT = _DOCS / "weekly-report.md", _DOCS / "page-health.md"
_HEADING = "| code, version | measure | formula | unit | clock | population | left out |"
_RULE = "|---|---|---|---|---|---|---|"


def measures_table() -> str:
    """Return the table of all measures of answers, in the order of the report."""
    rows = (
        f"| `{one.code}`, {one.version} | {AXES[one.axis]}: {one.name} | {one.formula} | {one.unit} "
        f"| {one.clock} | `{one.population}` | {one.exclusions} |"
        for one in MEASURES
    )
    return "\n".join([_HEADING, _RULE, *rows])


def page_measures_table() -> str:
    """Return the table of all measures of pages, in the order of the report."""
    rows = (
        f"| `{one.code}`, {one.version} | {one.name} | {one.formula} | {one.unit} | {one.clock} "
        f"| {one.population} | {one.exclusions} |"
        for one in PAGE_MEASURES
    )
    return "\n".join([_HEADING, _RULE, *rows])


def with_current_table(document: str, table: str) -> str:
    """Return the document with its table of measures replaced by the current one."""
    before, _, after = document.partition(f"\n{_HEADING}\n")
    return f"{before}\n{table}\n" + re.sub(r"\A(\|.*\n)+", "", after)


def main() -> None:
    """Write the tables into their documents."""
    for path, table in ((DOCUMENT, measures_table()), (PAGE_DOCUMENT, page_measures_table())):
        path.write_text(with_current_table(path.read_text(encoding="utf-8"), table), encoding="utf-8")


if __name__ == "__main__":
    main()
