"""Import a library at its first use: every test process collects all tests, but few tests need the library."""

import importlib
from typing import Any


class LazyModule:
    """A stand-in that imports its module when one of its attributes is read."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        # pytest looks for private attributes of everything in a test module, which would import the library.
        if attribute.startswith("_"):
            raise AttributeError(attribute)
        return getattr(importlib.import_module(self._name), attribute)
