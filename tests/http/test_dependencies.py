"""What handlers depend on is resolved one after the other."""

from typing import Any

from litestar.routes import HTTPRoute

from app.main import create_app
from app.settings import Settings


def test_no_route_resolves_dependencies_in_a_task_group() -> None:
    """Litestar opens one for dependencies that do not depend on each other."""
    app: Any = create_app(Settings(database_url="postgresql://127.0.0.1/none"))
    litestar = app.app.app
    batches = {
        (route.path, method): [len(batch) for batch in kwargs_model.dependency_batches]
        for route in litestar.routes
        if isinstance(route, HTTPRoute)
        for method, (_, kwargs_model) in route.route_handler_map.items()
    }
    assert batches["/api/auth/me", "GET"] == [1, 1, 1, 1]
    assert {route: sizes for route, sizes in batches.items() if max(sizes, default=1) > 1} == {}
