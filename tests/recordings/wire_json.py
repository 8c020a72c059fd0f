"""JSON text as the server writes it, to prove that nothing is lost when it is read as a value."""

import json
from typing import Any


def wire_json(value: Any) -> str:
    """Return compact JSON, in which only the data of durable events is spaced.

    Such data goes out as PostgreSQL prints it, with a space after each comma and colon.
    """
    if isinstance(value, dict):
        durable = "commit" in value and "type" in value
        members = [
            f"{spaced_json(key)}:"
            + (spaced_json(one) if durable and key == "data" else wire_json(one))
            for key, one in value.items()
        ]
        return "{" + ",".join(members) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(wire_json, value)) + "]"
    return spaced_json(value)


def spaced_json(value: Any) -> str:
    """Return JSON with a space after each comma and colon."""
    return json.dumps(value, ensure_ascii=False)
