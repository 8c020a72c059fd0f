"""Reading the chat."""

from app.http.envelope import Page
from app.runs.model import MESSAGE, Message, message_of
from app.store.database import Reader

PAGE = 50  # messages, when nothing else is asked for
PAGE_MOST = 200


async def list_messages(
    reader: Reader, project_id: str, *, before: int | None, limit: int
) -> Page[Message]:
    """The newest messages before a sequence, oldest first; `nextCursor` is the next `before`."""
    rows = await reader.fetch(
        f"select {MESSAGE} from message"
        " where project_id = $1 and ($2::bigint is null or sequence < $2)"
        " order by sequence desc limit $3",
        project_id,
        before,
        limit + 1,
    )
    items = [message_of(row) for row in reversed(rows[:limit])]
    return Page(items=items, next_cursor=str(items[0].sequence) if len(rows) > limit else None)
