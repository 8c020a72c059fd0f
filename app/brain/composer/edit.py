"""Editing code."""

import msgspec

from app.brain.model import WriteJob


class Edited(msgspec.Struct, frozen=True):
    code: str
    note: str | None = None


def edit_code(job: WriteJob) -> Edited:
    assert job.scene
    return Edited(job.scene.tsx_code, "I could not.")
