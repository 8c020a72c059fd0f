"""How a question is put to an OpenAI-compatible server, and what to leave out when it objects."""

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
OBJECTION = re.compile(
    r"tool|function|response_format|json_schema|schema|"
    r"un(?:known|supported|recognized|recognised|expected|permitted)|"
    r"not (?:supported|support|permitted|allowed|implemented)|extra (?:field|input|param)|"
    r"additional propert"
)
# A 400 for these is about the question itself: asking in another form would not help.
HOPELESS = re.compile(r"context_length|content_filter|content_policy|invalid_image|model_not_found")


class Form(msgspec.Struct, frozen=True, kw_only=True):
    """The optional parts of a request. `tool`: one function `decide` that must be called."""

    answer: Literal["tool", "schema", "plain", "code"]
    must_call: bool = True
    one_call: bool = True
    count: bool = True

    def body(self, model: str, messages: list[Message]) -> dict[str, Any]:
        """The request's body without `stream`, which all forms share."""
        body: dict[str, Any] = {"model": model, "messages": messages}
        if self.count:
            body["stream_options"] = {"include_usage": True}
        if self.answer == "tool":
            body["tools"] = [DECIDE_TOOL]
            body["tool_choice"] = "required" if self.must_call else "auto"
            if self.one_call:
                body["parallel_tool_calls"] = False
        elif self.answer == "schema":
            body["response_format"] = DECIDE_FORMAT
        return body

    def narrower(self, objection: str) -> "Form | None":
        """The form without what a 400 objects to; None when the question itself was refused."""
        words = objection.lower()
        if HOPELESS.search(words):
            return None
        if self.count and re.search(r"stream_options|include_usage", words):
            return msgspec.structs.replace(self, count=False)
        if self.answer == "tool" and self.one_call and "parallel_tool_calls" in words:
            return msgspec.structs.replace(self, one_call=False)
        if self.answer == "tool" and self.must_call and "tool_choice" in words:
            return msgspec.structs.replace(self, must_call=False)
        if not OBJECTION.search(words):
            return None
        if self.answer == "tool":
            return msgspec.structs.replace(self, answer="schema")
        if self.answer == "schema":
            return msgspec.structs.replace(self, answer="plain")
        return msgspec.structs.replace(self, count=False) if self.count else None


DECIDE = Form(answer="tool")
WRITE = Form(answer="code")
