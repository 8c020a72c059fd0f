"""Row ids: UUIDv7, so that they sort by time of birth."""

import uuid

import uuid_utils


def new_id() -> str:
    return str(uuid_utils.uuid7())


def step_id(run_id: str, step: int) -> str:
    """The id of a run's nth tool call: the same on every attempt, so that effects happen once."""
    return str(uuid.uuid5(uuid.UUID(run_id), f"step {step}"))
