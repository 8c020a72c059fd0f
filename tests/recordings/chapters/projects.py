"""Projects, their members and invites."""

from tests.recordings.chapter import ABSENT, NOTHING, Chapter
from tests.recordings.people import Person


async def record(ch: Chapter) -> None:
    ann = await ch.person("ann")
    await _projects(ch, ann)
    project = await ch.project(ann, title="Shared")
    cem, dee = await ch.person("cem"), await ch.person("dee")
    await _invites(ch, ann, cem, dee, project)
    await _viewer(ch, ann, cem, dee, project)
    await _roles(ch, ann, cem, dee, project)


async def _projects(ch: Chapter, ann: Person) -> None:
    path = "/api/projects"
    made = await ch.call("create", ann, "POST", path, {})
    await ch.call("create.second", ann, "POST", path, {"format": "portrait", "fps": 60})
    await ch.call("create.titled", ann, "POST", path, {"title": "Launch “film” 🎬"})
    await ch.call("create.title-taken", ann, "POST", path, {"title": "Launch “film” 🎬"})
    await ch.call("create.nobody", None, "POST", path, {})
    page = await ch.call("list", ann, "GET", f"{path}?limit=2")
    await ch.call("list.next", ann, "GET", f"{path}?limit=2&cursor={page['data']['nextCursor']}")
    one = f"{path}/{made['data']['id']}"
    await ch.call("read", ann, "GET", one)
    for step, body in {
        "title": {"title": "A title"},
        "all": {"title": "Another", "format": "square", "fps": 25},
        "same": {"title": "Another"},
        "nothing": {},
        "taken": {"title": "Untitled video 2"},
        "blank": {"title": " "},
        "null-title": {"title": None},
        "enum": {"format": "wide"},
        "unknown": {"ownerId": ann.id},
    }.items():
        await ch.call(f"update.{step}", ann, "PATCH", one, body)
    bob = await ch.person("bob")
    for step, method, body in (
        ("read", "GET", NOTHING),
        ("update", "PATCH", {"title": "Mine"}),
        ("delete", "DELETE", NOTHING),
    ):
        await ch.call(f"foreign.{step}", bob, method, one, body)
    await ch.call("snapshot", ann, "GET", f"{one}/snapshot")
    await ch.call("delete", ann, "DELETE", one)
    await ch.call("delete.again", ann, "DELETE", one)
    await ch.call("read.deleted", ann, "GET", one)
    await ch.call("snapshot.deleted", ann, "GET", f"{one}/snapshot")
    await ch.call("title-free-again", ann, "POST", path, {"title": "Another"})


async def _invites(ch: Chapter, ann: Person, cem: Person, dee: Person, project: str) -> None:
    base = f"/api/projects/{project}"
    invite = await ch.call("invite", ann, "POST", f"{base}/invites", {"role": "viewer"})
    for step, body in {
        "hours": {"role": "editor", "expiresInHours": 1},
        "owner": {"role": "owner"},
        "too-long": {"role": "editor", "expiresInHours": 721},
        "none": {},
    }.items():
        await ch.call(f"invite.{step}", ann, "POST", f"{base}/invites", body)
    accept = f"/api/invites/{invite['data']['token']}/accept"
    await ch.call("accept.nobody", None, "POST", accept)
    await ch.call("accept.body", cem, "POST", accept, {"role": "owner"})
    await ch.call("accept", cem, "POST", accept)
    await ch.call("accept.again", cem, "POST", accept, {})
    await ch.call("accept.used", dee, "POST", accept)
    await ch.call("accept.absent", dee, "POST", "/api/invites/nothing/accept")
    own = await ch.data(ann, "POST", f"{base}/invites", {"role": "viewer"})
    await ch.call("accept.lower", ann, "POST", f"/api/invites/{own['token']}/accept")


async def _viewer(ch: Chapter, ann: Person, cem: Person, dee: Person, project: str) -> None:
    base = f"/api/projects/{project}"
    for step, method, path, body in (
        ("update", "PATCH", base, {"title": "Mine"}),
        ("delete", "DELETE", base, NOTHING),
        ("invite", "POST", f"{base}/invites", {"role": "viewer"}),
        ("role", "PUT", f"{base}/members/{cem.id}", {"role": "editor"}),
        ("remove", "DELETE", f"{base}/members/{ann.id}", NOTHING),
        ("scene", "POST", f"{base}/scenes", {}),
        ("run", "POST", f"{base}/runs", {"prompt": "A title"}),
    ):
        await ch.call(f"viewer.{step}", cem, method, path, body)
    await ch.call("members", cem, "GET", f"{base}/members")
    await ch.call("members.foreign", dee, "GET", f"{base}/members")
    await ch.call("list.member", cem, "GET", "/api/projects")


async def _roles(ch: Chapter, ann: Person, cem: Person, dee: Person, project: str) -> None:
    base = f"/api/projects/{project}"
    role = f"{base}/members/{cem.id}"
    await ch.call("role", ann, "PUT", role, {"role": "editor"})
    await ch.call("role.same", ann, "PUT", role, {"role": "editor"})
    await ch.call("role.owner", ann, "PUT", role, {"role": "owner"})
    await ch.call("role.odd", ann, "PUT", role, {"role": "admin"})
    await ch.call("role.of-owner", ann, "PUT", f"{base}/members/{ann.id}", {"role": "editor"})
    await ch.call("role.stranger", ann, "PUT", f"{base}/members/{dee.id}", {"role": "editor"})
    await ch.call("role.absent", ann, "PUT", f"{base}/members/nobody", {"role": "editor"})
    await ch.call("editor.title", cem, "PATCH", base, {"title": "Mine"})
    await ch.call("editor.format", cem, "PATCH", base, {"format": "square"})
    await ch.call("remove.owner", ann, "DELETE", f"{base}/members/{ann.id}")
    await ch.call("remove.stranger", ann, "DELETE", f"{base}/members/{dee.id}")
    await ch.call("remove", ann, "DELETE", role)
    await ch.call("removed.read", cem, "GET", base)
    await ch.member(ann, project, dee, "editor")
    await ch.call("leave", dee, "DELETE", f"{base}/members/{dee.id}")
    await ch.call("absent", ann, "GET", f"/api/projects/{ABSENT}/members")
    after = f"{base}/changes?after="
    epoch = (await ch.data(ann, "GET", f"{base}/snapshot"))["epoch"]
    await ch.call("changes", ann, "GET", f"{after}{epoch}.0")
