"""Static files. Their address contains a digest of the content, so browsers cache them for a year.

`console.css` and `console.js` are the files of `static/` followed by those of the pages; there is no build step.
"""

import hashlib
from functools import cache
from pathlib import Path

from fastapi import APIRouter, HTTPException, Response
from fastapi.responses import FileResponse

_CONSOLE = Path(__file__).parents[1]
_STATIC = _CONSOLE / "static"
_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml", ".woff2": "font/woff2"}
_BUNDLED = {".css": ("console.css",), ".js": ("console.js", "focus.js")}
_KEPT = {"Cache-Control": "public, max-age=31536000, immutable"}
_KEPT_A_DAY = {"Cache-Control": "public, max-age=86400"}
_FILES = {str(path.relative_to(_STATIC)): path for path in _STATIC.rglob("*") if path.suffix in _TYPES}

router = APIRouter(include_in_schema=False)


@cache
def _bundle(suffix: str) -> bytes:
    parts = [*(_STATIC / name for name in _BUNDLED[suffix]), *sorted((_CONSOLE / "pages").glob(f"*/*{suffix}"))]
    return b"\n".join(path.read_bytes() for path in parts)


@cache
def static_version() -> str:
    """Return a digest of all static files."""
    content = hashlib.sha256(_bundle(".css") + _bundle(".js"))
    for _, path in sorted(_FILES.items()):
        content.update(path.read_bytes())
    return content.hexdigest()[:12]


def static_url(name: str) -> str:
    """Return the address of a static file."""
    return f"/static/{static_version()}/{name}"


@router.get("/static/{version}/{name:path}")
async def static_file(version: str, name: str) -> Response:
    """Return a static file; 404 if the version is not the current one."""
    path = _FILES.get(name)
    if path is None or version != static_version():
        raise HTTPException(404)
    kind = _TYPES[path.suffix]
    if name in {"console.css", "console.js"}:
        return Response(_bundle(path.suffix), media_type=kind, headers=_KEPT)
    return FileResponse(path, media_type=kind, headers=_KEPT)


@router.get("/favicon.ico")
async def icon() -> Response:
    """Return the icon for browsers that ask for its default address, for example when a photo is opened in a
    tab.
    """
    return FileResponse(_STATIC / "icon.svg", media_type=_TYPES[".svg"], headers=_KEPT_A_DAY)
