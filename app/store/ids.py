"""Ids of rows: UUIDv7, so that they sort by their time of creation."""

import uuid

import uuid_utils


def new_id() -> str:
    """Return a new id, in the text form that the database and the wire use."""
    return str(uuid_utils.uuid7())


def step_id(run_id: str, step: int) -> str:
    """Return the id of a run's nth tool call.

    It is the same on every attempt, so that the effects of a call happen once.
    """
    return str(uuid.uuid5(uuid.UUID(run_id), f"step {step}"))
