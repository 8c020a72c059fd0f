"""An app with the routes of projects and scenes alone, for tests that list them."""

from litestar import Litestar, Router
from litestar.datastructures import State
from litestar.di import Provide
from litestar.openapi.config import OpenAPIConfig

from app.auth.credentials import Credentials
from app.http.errors import HANDLERS
from app.http.policy import CREDENTIALS_KEY, check_routes, require_access
from app.http.strict import StrictRequest
from app.projects.routes import router as projects
from app.scenes.routes import router as scenes
from app.settings import Settings
from tests.harness.database import DB


def studio_app(described: OpenAPIConfig | None = None) -> Litestar:
    """An app of these routes. Without a description its routes are checked as `create_app` does."""
    settings = Settings()
    credentials = Credentials(DB, settings)
    router = Router(
        "",
        route_handlers=[projects, scenes],
        guards=[require_access],
        request_class=StrictRequest,
    )
    app = Litestar(
        [router],
        state=State({"settings": settings, "db": DB, CREDENTIALS_KEY: credentials}),
        dependencies={
            "caller": Provide(credentials.provide_caller),
            "db": Provide(lambda: DB, sync_to_thread=False),
        },
        exception_handlers=HANDLERS,
        openapi_config=described,
        logging_config=None,
    )
    if described is None:
        check_routes(app)
    return app
