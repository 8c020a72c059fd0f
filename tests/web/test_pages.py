"""The pages and their policies, invitations, registration and signing in."""

import httpx
import pytest
from playwright.async_api import expect

from app.http.headers import APP_PAGE_POLICY
from app.pages import FRAME_POLICY
from tests.harness.process import Reelroom
from tests.web.conftest import NewVisitor
from tests.web.window import Visitor, Window

PASSWORD = "correct horse battery"


@pytest.mark.parametrize(
    ("path", "policy"),
    [
        ("/", APP_PAGE_POLICY),
        ("/projects/anything", APP_PAGE_POLICY),
        ("/invites/anything", APP_PAGE_POLICY),
        ("/preview", FRAME_POLICY),
    ],
)
async def test_every_page_carries_its_policy_once(
    offline: Reelroom, path: str, policy: str
) -> None:
    async with httpx.AsyncClient(base_url=offline.url) as client:
        answer = await client.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.headers.get_list("content-security-policy") == [policy]
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_the_policies_allow_the_page_no_script_but_its_own_and_the_frame_no_origin() -> None:
    page = dict(part.strip().split(" ", 1) for part in APP_PAGE_POLICY.split(";"))
    frame = dict(part.strip().split(" ", 1) for part in FRAME_POLICY.split(";"))
    assert page["script-src"] == page["connect-src"] == page["frame-src"] == "'self'"
    assert "unsafe" not in APP_PAGE_POLICY
    assert frame["sandbox"] == "allow-scripts"
    assert frame["default-src"] == frame["connect-src"] == "'none'"
    assert frame["frame-ancestors"] == "'self'"
    assert "http" not in FRAME_POLICY


async def test_an_invitation_link_leads_a_new_user_into_the_project(
    owner: Visitor, viewer: Visitor, new_visitor: NewVisitor, offline: Reelroom
) -> None:
    project = await owner.project("Shared with you")
    host = await owner.window(project)
    await host.press("Invite")
    link = await host.page.get_by_label("Invitation link").input_value()
    assert link.startswith(f"{offline.url}/invites/")

    stranger = await new_visitor(offline)
    guest = await stranger.window()
    await guest.page.goto(link)
    await register(guest, "stranger@example.test")
    await guest.press("Join the project")
    await expect(guest.connection).to_have_text("Live")
    await guest.press("Add scene")
    for window in (guest, host):
        await window.shows("Scene 1")

    assert_refused(guest, 401)

    late = await viewer.window()
    await late.page.goto(link)
    await late.press("Join the project")
    await expect(late.page.get_by_role("alert")).to_contain_text("was used")
    assert_refused(late, 404)


async def register(window: Window, email: str) -> None:
    await window.press("I am new here")
    await window.page.get_by_label("Name").fill("A stranger")
    await window.page.get_by_label("E-mail").fill(email)
    await window.page.get_by_label("Password").fill(PASSWORD)
    await window.press("Create account")


def assert_refused(window: Window, *statuses: int) -> None:
    """Assert that the console holds exactly the errors that Chromium logs for these statuses."""
    prefix = "error: Failed to load resource: the server responded with a status of"
    assert [line[: len(prefix) + 4] for line in window.errors] == [
        f"{prefix} {status}" for status in statuses
    ]
    window.errors.clear()


async def test_a_user_signs_out_and_in_again(new_visitor: NewVisitor, offline: Reelroom) -> None:
    window = await (await new_visitor(offline)).window()
    await window.open("/")
    await register(window, "comes.back@example.test")
    await window.press("Sign out")
    await window.page.get_by_label("E-mail").fill("comes.back@example.test")
    await window.page.get_by_label("Password").fill("not the password")
    await window.press("Sign in")
    await expect(window.page.get_by_role("alert")).to_be_visible()
    await window.page.get_by_label("Password").fill(PASSWORD)
    await window.press("Sign in")
    await expect(window.page.get_by_role("heading", name="Projects")).to_be_visible()
    assert_refused(window, 401, 401)


async def test_a_project_of_another_user_is_not_open(owner: Visitor, viewer: Visitor) -> None:
    project = await owner.project("Not yours")
    window = await viewer.window()
    await window.open(f"/projects/{project}")
    await expect(window.page.get_by_role("heading")).to_have_text("This project is not open to you")
    assert all("status of 404" in line for line in window.errors)
    window.errors.clear()
