"""All modules preloaded for forked programs exist: the fork server ignores a misspelt name, which costs time."""

import importlib.util

import pytest

from tests.support.forked_program import PRELOADED


@pytest.mark.parametrize("module", PRELOADED)
def test_preloaded_module_exists(module: str) -> None:
    assert importlib.util.find_spec(module) is not None
