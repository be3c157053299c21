"""The documentation page: Swagger UI from a Python package, so that it works without internet access."""

from pathlib import Path

import fastapi_offline
from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response
from starlette.responses import FileResponse

from shared.http.problems import NotFound

router = APIRouter(include_in_schema=False)

_ASSETS = Path(fastapi_offline.__file__).parent / "static"
_SERVED = {
    "swagger-ui.css": "text/css",
    "swagger-ui-bundle.js": "text/javascript",
    "favicon.png": "image/png",
}

# Nothing is loaded from other hosts. Swagger UI needs inline styles, and data URLs for icons.
_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Gospablik API</title>
<link rel="stylesheet" href="/docs/swagger-ui.css">
<link rel="icon" href="/docs/favicon.png">
</head>
<body>
<div id="docs"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
"""

_STARTUP_SCRIPT = """window.ui = SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#docs",
  deepLinking: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  filter: true,
  persistAuthorization: true,
  tryItOutEnabled: true,
  validatorUrl: null,
});
"""


@router.get("/docs")
async def get_docs_page() -> HTMLResponse:
    """Return the documentation page."""
    return HTMLResponse(_PAGE, headers={"Content-Security-Policy": _POLICY, "X-Content-Type-Options": "nosniff"})


@router.get("/docs/start.js")
async def get_startup_script() -> Response:
    """Return the script that starts Swagger UI."""
    return Response(_STARTUP_SCRIPT, media_type="text/javascript")


@router.get("/docs/{name}")
async def get_docs_asset(name: str) -> FileResponse:
    """Return one of the files of Swagger UI that the page refers to."""
    if name not in _SERVED:
        raise NotFound(f"No such file: {name}")
    return FileResponse(_ASSETS / name, media_type=_SERVED[name], headers={"Cache-Control": "max-age=86400"})
