"""The document of rights equals the table in the code."""

from pathlib import Path

from services.registry.access.rights_document import ROLE_DESCRIPTIONS, render
from shared.auth.rights import RIGHT_DESCRIPTIONS, RIGHTS, Right, Role

DOCUMENT = Path(__file__).parents[3] / "docs" / "operations" / "access.md"


def test_document_is_up_to_date() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == render()


def test_every_right_and_role_is_described() -> None:
    assert set(RIGHT_DESCRIPTIONS) == set(Right)
    assert set(ROLE_DESCRIPTIONS) == set(Role) == set(RIGHTS)


def test_cells_equal_the_table_in_the_code() -> None:
    rows = [line.strip("| ").split(" | ") for line in render().splitlines() if line.startswith("| `")]
    cells = {row[0].strip("`"): row[2:] for row in rows if ":" in row[0]}
    assert set(cells) == {str(right) for right in Right}
    for right in Right:
        assert cells[right] == [RIGHTS[role].get(right, "–") for role in Role]
