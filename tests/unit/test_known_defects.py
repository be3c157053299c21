"""The catalogue of known defects fits the code, so that the defects can be put back at any time."""

import ast
from pathlib import Path

import pytest

from tests.known_defects.catalogue import DEFECTS, Defect

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.name)
def test_defect_can_be_put_back(defect: Defect) -> None:
    code = (ROOT / defect.path).read_text()
    assert code.count(defect.correct) == 1, f"{defect.path} was changed: adapt the defect «{defect.name}»"
    ast.parse(code.replace(defect.correct, defect.defective))


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.name)
def test_test_of_the_defect_exists(defect: Defect) -> None:
    path, _, name = defect.test.partition("::")
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    names = {node.name for node in ast.parse((ROOT / path).read_text()).body if isinstance(node, functions)}
    assert name in names, f"«{defect.name}» names a test that does not exist"


def test_names_of_defects_are_unique() -> None:
    assert len({defect.name for defect in DEFECTS}) == len(DEFECTS)
