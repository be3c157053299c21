"""Import a library at its first use: every test process collects all tests, and few of them need it."""

import importlib
from typing import Any


class LazyModule:
    """Stands for a module until one of its attributes is read."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        # pytest looks for private attributes of everything in a test module, which would import the library.
        if attribute.startswith("_"):
            raise AttributeError(attribute)
        return getattr(importlib.import_module(self._name), attribute)
