"""Everything the environment decides, read once; the only reader of os.environ."""

import os
from collections.abc import Mapping
from typing import Annotated

import msgspec

WORKERS_MOST = 64


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """All optional; an empty variable counts as absent. The environment writes them in capitals."""

    host: str = "127.0.0.1"
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 8000
    web_concurrency: Annotated[int, msgspec.Meta(ge=1, le=WORKERS_MOST)] = 1
    database_url: str | None = None
    database_connections: Annotated[int, msgspec.Meta(ge=2, le=200)] = 10
    redis_url: str | None = None
    openai_api_key: str | None = None
    openai_base_url: str | None = None
    openai_model: str = "gpt-5-mini"
    reelroom_data_dir: str | None = None
    reelroom_local_token: str | None = None
    reelroom_allowed_origins: str = ""
    cron_secret: str | None = None
    log_level: str = "INFO"
    pg_bin: str | None = None

    @property
    def allowed_origins(self) -> frozenset[str]:
        """Origins beyond the server's own that may send cookie requests, comma separated."""
        return frozenset(
            origin.strip().lower().rstrip("/")
            for origin in self.reelroom_allowed_origins.split(",")
            if origin.strip()
        )

    @property
    def loopback(self) -> bool:
        """True when only this machine can reach the server; local mode needs it."""
        return self.host in ("127.0.0.1", "localhost", "::1")

    def hand_down(self) -> None:
        """Write the settings to the environment, for the processes that this one starts."""
        for name in self.__struct_fields__:
            if (value := getattr(self, name)) is not None:
                os.environ[name.upper()] = str(value)

    @classmethod
    def read(cls, environment: Mapping[str, str] = os.environ) -> "Settings":
        """Raise `msgspec.ValidationError` naming the first variable that is malformed."""
        known = {
            name: value
            for name in cls.__struct_fields__
            if (value := environment.get(name.upper(), "").strip())
        }
        return msgspec.convert(known, cls, strict=False)
