"""Truncate shared libraries after their last segment: removes symbol names, linker tables and debug data.

`python strip_symbols.py FOLDER` strips all libraries of a folder. The Python image has no `strip`, and a closed
network has no Debian mirror to install it from. Loading a library needs only its segments, which include the
dynamic symbols.
"""

import struct
import sys
from pathlib import Path

_MAGIC_64_LITTLE = b"\x7fELF\x02\x01"
_SHARED = 3
_SEGMENTS_AT = 0x20
_SECTIONS_AT = 0x28
_SEGMENT_SIZE_AND_COUNT_AT = 0x36
_SECTION_COUNT_AT = 0x3C


def strip(library: Path) -> int:
    """Strip a library in place; return the number of bytes removed. Other files stay unchanged."""
    content = bytearray(library.read_bytes())
    if not content.startswith(_MAGIC_64_LITTLE) or struct.unpack_from("<H", content, 0x10) != (_SHARED,):
        return 0
    (table,) = struct.unpack_from("<Q", content, _SEGMENTS_AT)
    size, count = struct.unpack_from("<HH", content, _SEGMENT_SIZE_AND_COUNT_AT)
    end = table + size * count
    for at in range(table, end, size):
        offset, in_file = (
            *struct.unpack_from("<Q", content, at + 0x08),
            *struct.unpack_from("<Q", content, at + 0x20),
        )
        end = max(end, offset + in_file)
    lost: int = len(content) - end
    # Clear the header fields of the section table, which was cut off.
    struct.pack_into("<Q", content, _SECTIONS_AT, 0)
    struct.pack_into("<HH", content, _SECTION_COUNT_AT, 0, 0)
    library.write_bytes(content[:end])
    return lost


def main(folder: Path) -> None:
    """Strip all libraries of a folder."""
    libraries = [path for path in folder.rglob("*.so*") if path.is_file() and not path.is_symlink()]
    lost = sum(strip(library) for library in libraries)
    print(f"{len(libraries)} libraries, {lost / 1e6:.1f} MB less")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
