"""Servers in processes of their own, Chromium, and windows whose consoles must stay clean."""

import asyncio
import itertools
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest
from playwright.async_api import Browser, StorageState, async_playwright

from app.pages import DIST
from tests.conftest import NewDatabase, missing
from tests.harness.model_server import ModelServer
from tests.harness.ports import free_port
from tests.harness.process import Reelroom, started
from tests.web.window import RECORDER, Visitor

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SIZE = {"width": 1440, "height": 900}
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
async def chromium() -> AsyncIterator[Browser]:
    path = shutil.which("chromium")
    if path is None:
        missing("chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        await browser.close()


NewServer = Callable[..., Awaitable[Reelroom]]


@pytest.fixture(scope="session")
async def new_server(
    new_database: NewDatabase, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[NewServer]:
    """Return a function that starts a server on a new database."""
    if not all((DIST / page).is_file() for page in ("index.html", "preview.html")):
        pytest.fail("The browser client is not built: cd app/web && npm ci && npm run build")
    async with AsyncExitStack() as stack:

        async def make(**environment: str) -> Reelroom:
            folder = tmp_path_factory.mktemp("served")
            settings = {
                "DATABASE_URL": await new_database(),
                "PORT": str(free_port()),  # the same one after a restart
                "REELROOM_DATA_DIR": str(folder),
                "LOG_LEVEL": "WARNING",
                **environment,
            }
            server = await stack.enter_async_context(started(cwd=folder, **settings))
            stack.push_async_callback(asyncio.to_thread, server.command, "check")
            return server

        yield make


@pytest.fixture(scope="session")
async def offline(new_server: NewServer) -> Reelroom:
    """A server with the offline model."""
    return await new_server()


@pytest.fixture(scope="session")
async def model_server() -> AsyncIterator[ModelServer]:
    async with ModelServer() as server:
        yield server


@pytest.fixture(scope="session")
async def modelled(new_server: NewServer, model_server: ModelServer) -> Reelroom:
    """A server whose model is the scripted model server."""
    return await new_server(OPENAI_BASE_URL=model_server.url, OPENAI_API_KEY="test")


NewVisitor = Callable[..., Awaitable[Visitor]]


@pytest.fixture
async def new_visitor(chromium: Browser) -> AsyncIterator[NewVisitor]:
    """Return a function that opens a browser profile; at the end no console may hold an error."""
    visitors: list[Visitor] = []

    async def make(server: Reelroom, state: StorageState | None = None) -> Visitor:
        context = await chromium.new_context(viewport=SIZE, storage_state=state)  # type: ignore[arg-type]
        await context.add_init_script(RECORDER)
        visitors.append(Visitor(context, server.url))
        return visitors[-1]

    yield make
    errors = [line for one in visitors for window in one.windows for line in window.errors]
    for one in visitors:
        await one.context.close()
    assert errors == []


async def signed_in(browser: Browser, server: Reelroom) -> StorageState:
    """Sign in by the server's login link and return the cookies."""
    context = await browser.new_context()
    page = await context.new_page()
    await page.goto(server.url + server.link)
    await page.get_by_role("button", name="Sign out").wait_for()
    state = await context.storage_state()
    await context.close()
    return state


@pytest.fixture(scope="session")
async def offline_admin(chromium: Browser, offline: Reelroom) -> StorageState:
    return await signed_in(chromium, offline)


@pytest.fixture(scope="session")
async def modelled_admin(chromium: Browser, modelled: Reelroom) -> StorageState:
    return await signed_in(chromium, modelled)


@pytest.fixture
async def owner(new_visitor: NewVisitor, offline: Reelroom, offline_admin: StorageState) -> Visitor:
    """The local admin of the offline server."""
    return await new_visitor(offline, offline_admin)


@pytest.fixture
async def director(
    new_visitor: NewVisitor, modelled: Reelroom, modelled_admin: StorageState
) -> Visitor:
    """The local admin of the server with the scripted model."""
    return await new_visitor(modelled, modelled_admin)


@pytest.fixture
async def viewer(new_visitor: NewVisitor, offline: Reelroom) -> Visitor:
    """Another user with a new account at the offline server."""
    visitor = await new_visitor(offline)
    number = next(_numbers)
    person = {
        "email": f"viewer-{number}@example.test",
        "password": "correct horse battery",
        "name": f"Viewer {number}",
    }
    await visitor.ask("POST", "/api/auth/register", person)
    return visitor
