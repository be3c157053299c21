"""Removal of symbol names from shared libraries."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from shutil import copy2

from cli.deployment import strip_symbols

_USE = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("uvloop.loop", sys.argv[1])
library = importlib.util.module_from_spec(spec)
spec.loader.exec_module(library)
loop = library.Loop()
loop.call_soon(loop.stop)
loop.run_forever()
print(library.__file__)
"""


def test_stripped_library_is_smaller_and_still_loads(tmp_path: Path) -> None:
    spec = find_spec("uvloop.loop")
    assert spec is not None
    assert spec.origin is not None
    library = tmp_path / Path(spec.origin).name
    copy2(spec.origin, library)
    (tmp_path / "data.so.txt").write_bytes(b"text")
    before = library.stat().st_size
    strip_symbols.main(tmp_path)
    assert library.stat().st_size < before / 2
    done = subprocess.run([sys.executable, "-c", _USE, str(library)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip() == str(library)
    # A second run removes nothing.
    assert strip_symbols.strip(library) == 0
    assert (tmp_path / "data.so.txt").read_bytes() == b"text"
