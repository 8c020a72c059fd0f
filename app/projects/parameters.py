"""Parameters that the routes of projects and of what belongs to them share."""

from typing import Annotated
from uuid import UUID

from litestar.di import NamedDependency
from litestar.params import FromPath, HeaderParameter, QueryParameter

from app.auth.model import Caller
from app.realtime.events import MAX_REVISION
from app.store.database import Database

CurrentCaller = NamedDependency[Caller]  # of the parameter `caller`
Db = NamedDependency[Database]  # of the parameter `db`
Id = FromPath[UUID]
PageLimit = Annotated[int, QueryParameter(ge=1, le=100, description="Items on a page.")]
AtRevision = Annotated[
    int | None,
    QueryParameter(ge=1, le=MAX_REVISION, description="The project as it was at this revision."),
]
PageBefore = Annotated[
    int | None,
    QueryParameter(ge=1, le=MAX_REVISION, description="`nextCursor` of the last page."),
]
IfMatch = Annotated[
    str | None,
    HeaderParameter(
        name="If-Match", max_length=100, description='The scene\'s revision, such as `"7"`.'
    ),
]
