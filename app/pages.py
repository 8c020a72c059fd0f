"""The routes of the browser client's files: its pages, their assets and the preview frame."""

from pathlib import Path
from typing import Any

from litestar import Response, Router, get
from litestar.enums import MediaType
from litestar.static_files import create_static_files_router

from app.http.envelope import declare

DIST = Path(__file__).parent / "web" / "dist"
NOT_BUILT_PAGE = """<!doctype html><meta charset="utf-8"><title>Reelroom</title>
<h1>Reelroom is running</h1><p>The browser client was not built during the install. Build it with
<code>cd app/web &amp;&amp; npm ci &amp;&amp; npm run build</code> and load this page again.
The API is described at <a href="/schema/openapi.json">/schema</a>.</p>
"""

# The code in the frame is untrusted: it has an opaque origin, and neither network nor storage.
FRAME_POLICY = (
    "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval';"
    " style-src 'unsafe-inline'; img-src data: blob:; font-src data:; media-src blob:;"
    " connect-src 'none'; worker-src 'none'; form-action 'none'; base-uri 'none';"
    " frame-ancestors 'self'; require-trusted-types-for 'script'; trusted-types reelroom default"
)


@get(
    ["/", "/projects/{project_id:str}", "/invites/{token:str}"],
    **declare("page.read", "public"),
    include_in_schema=False,
)
async def index() -> Response[bytes]:
    """Return the page of the studio, which chooses its view by the path."""
    return _page("index.html", {"cache-control": "no-cache"})


@get("/preview", **declare("preview.read", "public"), include_in_schema=False)
async def preview() -> Response[bytes]:
    """Return the page of the sandboxed frame that plays a scene."""
    headers = {
        "content-security-policy": FRAME_POLICY,
        "cache-control": "no-cache",
        "cross-origin-resource-policy": "same-origin",
    }
    return _page("preview.html", headers)


def _page(name: str, headers: dict[str, str]) -> Response[bytes]:
    path = DIST / name
    built = path.is_file()
    body = path.read_bytes() if built else NOT_BUILT_PAGE.encode()
    return Response(
        body, media_type=MediaType.HTML, headers=headers, status_code=200 if built else 503
    )


def assets() -> list[Any]:
    """Return the router of the hashed asset files; none when the client was not built."""
    folder = DIST / "assets"
    if not folder.is_dir():
        return []
    return [
        create_static_files_router(
            path="/assets",
            directories=[folder],
            opt={"access": "public", "operation": "asset.read"},
            include_in_schema=False,
            cache_control=None,
        )
    ]


router = Router("", route_handlers=[index, preview])
