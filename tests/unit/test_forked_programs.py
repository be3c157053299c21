"""What forked programs find imported exists: a misspelt module is passed over in silence, and costs a second."""

import importlib.util

import pytest

from tests.support.forked_program import PRELOADED


@pytest.mark.parametrize("module", PRELOADED)
def test_preloaded_module_exists(module: str) -> None:
    assert importlib.util.find_spec(module) is not None
