"""The printed table of rights is the one that the code asks."""

from pathlib import Path

from services.registry.access.rights_document import RIGHT_DESCRIPTIONS, ROLE_DESCRIPTIONS, render
from shared.auth.rights import RIGHTS, Right, Role

DOCUMENT = Path(__file__).parents[3] / "docs" / "operations" / "access.md"


def test_the_document_is_up_to_date() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == render()


def test_every_right_and_role_is_explained() -> None:
    assert set(RIGHT_DESCRIPTIONS) == set(Right)
    assert set(ROLE_DESCRIPTIONS) == set(Role) == set(RIGHTS)


def test_each_cell_says_what_the_code_does() -> None:
    rows = [line.strip("| ").split(" | ") for line in render().splitlines() if line.startswith("| `")]
    cells = {row[0].strip("`"): row[2:] for row in rows if ":" in row[0]}
    assert set(cells) == {str(right) for right in Right}
    for right in Right:
        assert cells[right] == [RIGHTS[role].get(right, "–") for role in Role]
