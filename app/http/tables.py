"""The table of stored answers, as defined by the migrations."""

from piccolo.columns import JSONB, Bytea, Integer, Text, Timestamptz, Varchar
from piccolo.table import Table

from app.store.columns import ClockTimestamp
from app.store.database import SCHEMA


class IdempotencyRecord(Table, tablename="idempotency_record", db=SCHEMA):
    """The primary key is (user_id, scope, key); Piccolo has no composite keys."""

    user_id = Varchar(255, primary_key=True, default=None)
    scope = Text(default=None)
    key = Text(default=None)
    request_hash = Text(default=None)
    status = Integer(null=True, default=None)
    headers = JSONB(null=True, default=None)
    body = Bytea(null=True, default=None)
    created_at = Timestamptz(default=ClockTimestamp())
    expires_at = Timestamptz(default=None)
