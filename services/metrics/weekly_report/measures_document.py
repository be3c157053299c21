"""The table of measures in `docs/moderator/weekly-report.md`, in Markdown.

`python -m services.metrics.weekly_report.measures_document` writes it into the document; a test compares the two.
"""

import re
from pathlib import Path

from services.metrics.rendering.labels import AXES
from services.metrics.weekly_report.measures import MEASURES

DOCUMENT = Path(__file__).parents[3] / "docs" / "moderator" / "weekly-report.md"
_HEADING = "| code, version | measure | formula | unit | clock | population | left out |"


def measures_table() -> str:
    """Return the table of all measures, in the order of the report."""
    rows = (
        f"| `{one.code}`, {one.version} | {AXES[one.axis]}: {one.name} | {one.formula} | {one.unit} "
        f"| {one.clock} | `{one.population}` | {one.exclusions} |"
        for one in MEASURES
    )
    return "\n".join([_HEADING, "|---|---|---|---|---|---|---|", *rows])


def with_current_table(document: str) -> str:
    """Return the document with the table of the measures as they are defined."""
    before, _, after = document.partition(f"\n{_HEADING}\n")
    return f"{before}\n{measures_table()}\n" + re.sub(r"\A(\|.*\n)+", "", after)


if __name__ == "__main__":
    DOCUMENT.write_text(with_current_table(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
