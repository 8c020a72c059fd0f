"""The forms of a request to an OpenAI-compatible server, from the richest to the plainest."""

import re
from typing import Any, Literal

import msgspec

from app.brain.prompts import Message
from app.brain.schema import DECISION_SCHEMA

DECIDE_TOOL = {
    "type": "function",
    "function": {
        "name": "decide",
        "description": "State the one decision about the user's request.",
        "parameters": DECISION_SCHEMA,
    },
}
DECIDE_FORMAT = {
    "type": "json_schema",
    "json_schema": {"name": "decision", "schema": DECISION_SCHEMA},
}
# A 400 with one of these words is about a field that the server does not support.
_UNSUPPORTED_FIELD = re.compile(
    r"tool|function|response_format|json_schema|schema|"
    r"un(?:known|supported|recognized|recognised|expected|permitted)|"
    r"not (?:supported|support|permitted|allowed|implemented)|extra (?:field|input|param)|"
    r"additional propert"
)
# A 400 with one of these words is about the content: another form would not help.
_CONTENT_ERROR = re.compile(
    r"context_length|content_filter|content_policy|invalid_image|model_not_found"
)


class RequestForm(msgspec.Struct, frozen=True, kw_only=True):
    """The optional fields of a request.

    `answer` is how the answer is requested: `tool` as a call of the function `decide`, `schema`
    as JSON of a schema, `plain` as JSON that the prompt describes, `code` as text.
    """

    answer: Literal["tool", "schema", "plain", "code"]
    require_call: bool = True
    forbid_parallel_calls: bool = True
    count_tokens: bool = True

    def body(self, model: str, messages: list[Message]) -> dict[str, Any]:
        """Return the request's body without `stream`, which all forms share."""
        body: dict[str, Any] = {"model": model, "messages": messages}
        if self.count_tokens:
            body["stream_options"] = {"include_usage": True}
        if self.answer == "tool":
            body["tools"] = [DECIDE_TOOL]
            body["tool_choice"] = "required" if self.require_call else "auto"
            if self.forbid_parallel_calls:
                body["parallel_tool_calls"] = False
        elif self.answer == "schema":
            body["response_format"] = DECIDE_FORMAT
        return body

    def without_unsupported(self, explanation: str) -> "RequestForm | None":
        """Return the form without the field that the text of a 400 refuses.

        None means that no other form would help.
        """
        text = explanation.lower()
        if _CONTENT_ERROR.search(text):
            return None
        if self.count_tokens and re.search(r"stream_options|include_usage", text):
            return msgspec.structs.replace(self, count_tokens=False)
        if self.answer == "tool" and self.forbid_parallel_calls and "parallel_tool_calls" in text:
            return msgspec.structs.replace(self, forbid_parallel_calls=False)
        if self.answer == "tool" and self.require_call and "tool_choice" in text:
            return msgspec.structs.replace(self, require_call=False)
        if not _UNSUPPORTED_FIELD.search(text):
            return None
        if self.answer == "tool":
            return msgspec.structs.replace(self, answer="schema")
        if self.answer == "schema":
            return msgspec.structs.replace(self, answer="plain")
        return msgspec.structs.replace(self, count_tokens=False) if self.count_tokens else None


DECIDE = RequestForm(answer="tool")
WRITE = RequestForm(answer="code")
