"""The times and sizes within which subscribers are served."""

import msgspec

from app.realtime.ring import MAX_BYTES, MAX_EVENTS


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Times are in seconds. The defaults are what is served; tests shorten them."""

    heartbeat: float = 14.0  # between two; with the clock's tick no more than 15
    lifetime: tuple[float, float] = (600.0, 900.0)  # a connection ends at random in between
    stall: float = 10.0  # a subscriber that takes nothing for longer is disconnected
    hello: float = 10.0  # for the first frame on a WebSocket
    head_check: float = 2.0  # between two comparisons of all hubs with the log
    linger: float = 30.0  # a hub without subscribers is kept
    ring_events: int = MAX_EVENTS
    ring_bytes: int = MAX_BYTES
    replay_events: int = 5000  # a client further behind gets a snapshot
    pause_per_subscriber: float = 36e-6  # between batches, so that events coalesce
    pause_range: tuple[float, float] = (1e-3, 36e-3)  # a shorter pause is left out
    slice_subscriptions: int = 250  # written to before the event loop may do something else
    presence_users: int = 100  # in one report and in one event; the rest are counted
    presence_interval: float = 10.0  # after which a process repeats its report
    presence_ttl: float = 25.0  # after which the report of a silent process is dropped
