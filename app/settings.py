"""The settings of a process, read from environment variables; no other module reads them."""

import os
from collections.abc import Mapping
from typing import Annotated

import msgspec

MAX_WORKERS = 64  # processes of `reelroom serve`


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Optional settings; each is the environment variable of its name in capital letters."""

    host: str = "127.0.0.1"
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 8000
    web_concurrency: Annotated[int, msgspec.Meta(ge=1, le=MAX_WORKERS)] = 1
    database_url: str | None = None
    database_connections: Annotated[int, msgspec.Meta(ge=2, le=200)] = 10
    redis_url: str | None = None
    openai_api_key: str | None = None
    openai_base_url: str | None = None
    openai_model: str = "gpt-5-mini"
    reelroom_data_dir: str | None = None
    reelroom_local_token: str | None = None
    reelroom_allowed_origins: str = ""
    log_level: str = "INFO"
    pg_bin: str | None = None

    @property
    def allowed_origins(self) -> frozenset[str]:
        """The origins, besides the server's own, that may send requests with cookies."""
        return frozenset(
            origin.strip().lower().rstrip("/")
            for origin in self.reelroom_allowed_origins.split(",")
            if origin.strip()
        )

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach the server, as local mode requires."""
        return self.host in ("127.0.0.1", "localhost", "::1")

    def export(self) -> None:
        """Write the settings to the environment variables, which child processes inherit."""
        for name in self.__struct_fields__:
            if (value := getattr(self, name)) is not None:
                os.environ[name.upper()] = str(value)

    @classmethod
    def read(cls, environment: Mapping[str, str] = os.environ) -> "Settings":
        """Return the settings; an empty variable counts as absent.

        Raises `msgspec.ValidationError`, which names the first malformed variable.
        """
        values = {
            name: value
            for name in cls.__struct_fields__
            if (value := environment.get(name.upper(), "").strip())
        }
        return msgspec.convert(values, cls, strict=False)
