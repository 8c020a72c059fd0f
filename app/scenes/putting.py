"""Putting a scene into a state that it had: its content, its life and its place in one step."""

from app.realtime.log import Change
from app.scenes.diff import changed_fields, describe, operation_of
from app.scenes.history import Cause, record, tell
from app.scenes.model import Iteration, Operation, Scene, SceneState
from app.scenes.reads import SCENE, scene_of
from app.store.engine import Reader

# A revert names the generation that is shown after it, or none; other changes only a new one.
SHOWN = """
    select past.id, (
        select case when shown.deleted_at is null then shown.id end
        from scene_iteration i left join generation shown on shown.id = i.generation_id
        where i.scene_id = past.id and i.revision <= past.at
        and (i.generation_id is not null or i.change_source = 'revert')
        order by i.revision desc limit 1
    ) as generation_id
    from unnest($1::uuid[], $2::bigint[]) as past (id, at)
"""


async def shown_generations(reader: Reader, past: dict[str, int]) -> dict[str, str | None]:
    """The generation that each scene showed at a revision; none when it was deleted since."""
    rows = await reader.fetch(SHOWN, list(past), list(past.values()))
    return {row["id"]: row["generation_id"] for row in rows}


async def put(
    change: Change, before: Scene, after: SceneState, order: list[str], cause: Cause
) -> tuple[Scene, Iteration]:
    """A scene in a state that it had: content and life in one step.

    The cause's generation is what it shows then, none included. `order` is the live scenes' own
    after it; the neighbours' places are the caller's to `settle`.
    """
    changed = changed_fields(before.state, after)
    row = await change.tx.fetchrow(
        "update scene set name = $2, tsx_code = $3, duration = $4, props = $5, layout_json = $6,"
        " position = $7, deleted_at = case when $8 then coalesce(deleted_at, clock_timestamp())"
        " end, request_id = $9, generation_id = $10, revision = revision + 1,"
        f" updated_at = clock_timestamp() where id = $1 returning {SCENE}",
        before.id,
        after.name,
        after.tsx_code,
        after.duration,
        after.props,
        after.layout_json,
        None if after.deleted else order.index(before.id),
        after.deleted,
        change.request_id,
        cause.generation_id,
    )
    assert row is not None
    scene = scene_of(row)
    said = describe(before, scene)
    was = before.deleted_at is not None
    if not (was or after.deleted):
        tell(change, "scene.updated", scene, changed, cause)
        return scene, await record(change, operation_of(changed), before, scene, said, cause)
    kind: Operation = "delete" if after.deleted else "restore"
    if was != after.deleted:
        changed += ["deletedAt", "position"]
        said.append(f"{kind}d")
    tell(change, f"scene.{kind}d", scene, changed, cause, list(order))
    return scene, await record(change, kind, before, scene, said, cause)


async def settle(change: Change, order: list[str]) -> None:
    """Give the live scenes the places that their order says."""
    await change.tx.execute(
        "update scene set position = place.number - 1"
        " from unnest($1::uuid[]) with ordinality as place (id, number)"
        " where scene.id = place.id and scene.position <> place.number - 1",
        order,
    )
