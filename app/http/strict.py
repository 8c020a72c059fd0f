"""Decodes JSON bodies strictly: Litestar itself takes "3" for 3 and fails on bad UTF-8."""

from typing import Any

import msgspec
from litestar import Request

from app.http.errors import problem_of_decoding
from app.problems import InvalidInput


class StrictRequest(Request[Any, Any, Any]):
    """The request class of the whole app; it decodes a body directly into its Struct."""

    async def json(self) -> Any:
        """Return the body as the type that the route declares for it.

        Raises `InvalidInput` or `ValidationFailed`.
        """
        field = self.route_handler.parsed_fn_signature.parameters.get("data")
        body = await self.body()
        if not body:
            raise InvalidInput("A JSON body is required.")
        try:
            return msgspec.json.decode(body, type=field.annotation if field else Any)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise problem_of_decoding(error) from error
