"""The table of answers that are given again."""

from piccolo.columns import JSONB, Bytea, Integer, Text, Timestamptz, Varchar
from piccolo.table import Table

from app.store.database import SCHEMA


class IdempotencyRecord(Table, tablename="idempotency_record", db=SCHEMA):
    """Primary key (user_id, scope, key)."""

    user_id = Varchar(255, primary_key=True, default=None)
    scope = Text(default=None)
    key = Text(default=None)
    request_hash = Text(default=None)
    status = Integer(null=True, default=None)
    headers = JSONB(null=True, default=None)
    body = Bytea(null=True, default=None)
    created_at = Timestamptz()
    expires_at = Timestamptz(default=None)
