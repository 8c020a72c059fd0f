"""The description of the API without what never goes over the wire with a request."""

import json
from typing import Any

PROSE = frozenset({"title", "summary", "description", "examples", "operationId"})
OUR_PATHS = ("/api/", "/health/", "/metrics")  # their `operationId` is their operation


class Description:
    """Shortens the OpenAPI document to its paths and schemas.

    Prose and the names of components follow the docstrings and names of code: prose is left out,
    and components are numbered in the order in which they are referred to.
    """

    def __init__(self, document: Any) -> None:
        self._document = document
        self._components = document["components"]["schemas"]
        self._names: dict[str, str] = {}
        self._schemas: dict[str, Any] = {}

    def short(self) -> dict[str, Any]:
        """Return the paths in alphabetical order, the schemas that they use, and the rest."""
        paths = {
            path: {
                method: self._operation(path, operation) for method, operation in methods.items()
            }
            for path, methods in sorted(self._document["paths"].items())
        }
        rest = {
            key: self._plain(one)
            for key, one in self._document.items()
            if key not in ("paths", "components")
        }
        unused = len(self._components) - len(self._names)
        return {"paths": paths, "schemas": self._schemas, "rest": rest, "unused": unused}

    def _operation(self, path: str, described: Any) -> Any:
        operation = self._plain(described)
        if path.startswith(OUR_PATHS):
            operation["operationId"] = described["operationId"]
        if "parameters" in operation:
            operation["parameters"] = {
                f"{one.pop('name')} in {one.pop('in')}": one for one in operation["parameters"]
            }
        answers: dict[str, list[str]] = {}
        for status, answer in operation.pop("responses", {}).items():
            answers.setdefault(json.dumps(answer), []).append(status)
        operation["responses"] = {
            " ".join(statuses): json.loads(answer) for answer, statuses in answers.items()
        }
        return operation

    def _plain(self, value: Any, *, fields: bool = False) -> Any:
        """Return a part without prose; the keys of `fields` are names, whatever they look like."""
        if isinstance(value, list):
            return [self._plain(one) for one in value]
        if not isinstance(value, dict):
            return value
        if [*value] == ["schema"]:
            return self._plain(value["schema"])
        if "$ref" in value:
            return self._reference(value["$ref"].rpartition("/")[2])
        return {
            key: self._plain(one, fields=key == "properties")
            for key, one in value.items()
            if fields or (one is not False and key not in PROSE)
        }

    def _reference(self, component: str) -> str:
        if component not in self._names:
            name = self._names[component] = f"schema {len(self._names) + 1}"
            self._schemas[name] = None  # its place, for it may refer to itself
            self._schemas[name] = self._plain(self._components[component])
        return self._names[component]
