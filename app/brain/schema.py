"""The JSON schema of a decision, without references for servers that do not support `$ref`."""

from typing import Any, get_args

from app.brain.model import ToolName
from app.scenes.model import MAX_DURATION_FRAMES, Complexity

_TARGET = {"type": ["string", "null"], "description": "Id of a scene in the storyboard."}
_FRAMES = {"type": ["integer", "null"], "minimum": 1, "maximum": MAX_DURATION_FRAMES}
_TOOLS = list(get_args(ToolName))

DECISION_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "reasoning": {"type": "string", "description": "Why, in one or two sentences."},
        "userFeedback": {
            "type": "string",
            "description": "One friendly sentence to the user about what is being done.",
        },
        "toolName": {
            "type": ["string", "null"],
            "enum": [*_TOOLS, None],
            "description": "The tool; null with a clarification or a workflow.",
        },
        "targetSceneId": _TARGET,
        "targetDuration": {**_FRAMES, "description": "Whole frames, when a duration is asked for."},
        "referencedSceneIds": {"type": "array", "items": {"type": "string"}},
        "editComplexity": {
            "type": ["string", "null"],
            "enum": [*get_args(Complexity), None],
        },
        "needsClarification": {"type": "boolean"},
        "clarificationQuestion": {"type": ["string", "null"]},
        "workflow": {
            "type": ["array", "null"],
            "description": "Two or more steps in order, when the request asks for several changes.",
            "items": {
                "type": "object",
                "properties": {
                    "toolName": {"type": "string", "enum": _TOOLS},
                    "context": {
                        "type": "string",
                        "description": "What this step must do, in the user's words.",
                    },
                    "targetSceneId": _TARGET,
                    "targetDuration": _FRAMES,
                },
                "required": ["toolName", "context"],
                "additionalProperties": False,
            },
        },
    },
    "required": ["reasoning", "userFeedback", "toolName", "needsClarification"],
    "additionalProperties": False,
}
