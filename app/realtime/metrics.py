"""The metrics of the realtime part, for Prometheus."""

import asyncio
from collections import deque

from prometheus_client import Counter, Gauge, Histogram

PROBE_SECONDS = 0.05  # between two measurements of the event loop's lag
LAG_WINDOW = 200  # measurements that the gauge covers: ten seconds

JOINS = Counter("reelroom_joins", "Subscriptions that joined, by where they began", ["source"])
GAPS = Counter("reelroom_gaps", "Times that a hub was behind the log, by how it noticed", ["cause"])
FOLLOWERS = Gauge("reelroom_followers", "Open streams, WebSockets and long polls of this process")
SUBSCRIPTIONS = Gauge(
    "reelroom_subscriptions", "Open streams and WebSockets, by what writes to them", ["writer"]
)
HUBS = Gauge("reelroom_hubs", "Projects that this process has a hub for")
WRITES = Counter("reelroom_writes", "Writes to subscriptions")
WRITTEN = Counter("reelroom_written_events", "Events in these writes")
ENCODED = Counter("reelroom_encoded", "Events encoded, by encoding", ["encoding"])
SLOW_KILLS = Counter("reelroom_slow_kills", "Subscriptions ended because their client stalled")
FELL_BEHIND = Counter("reelroom_fell_behind", "Subscriptions that fell off the ring")
RESETS = Counter("reelroom_resets", "Resets of cursors that could not be served", ["reason"])
LIVE_DROPPED = Counter("reelroom_live_dropped", "Live events not delivered, by cause", ["cause"])
ASKS = Counter("reelroom_asks", "Requests of hubs for the texts so far of a run")
LOG_READS = Counter("reelroom_log_reads", "Pages of the log, by how they were obtained", ["use"])
LOG_QUERIES = Counter("reelroom_log_queries", "Queries with which hubs read the log")
LOG_FAILURES = Counter("reelroom_log_failures", "Reads of the log that failed")
BUS = Counter("reelroom_bus", "Messages of the bus, by outcome", ["outcome"])
BUS_UP = Gauge("reelroom_bus_up", "Whether the bus to other processes is connected")
LAG = Histogram(
    "reelroom_lag_seconds",
    "From a durable event to its publication to the subscriptions of a process",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
LOOP_LAG = Gauge("reelroom_loop_lag_seconds", "Maximum lag of the event loop in the last 10 s")


async def watch_event_loop() -> None:
    """Keep the gauge at the longest recent lag of the event loop, in seconds."""
    loop = asyncio.get_running_loop()
    lags: deque[float] = deque(maxlen=LAG_WINDOW)
    while True:
        due = loop.time() + PROBE_SECONDS
        await asyncio.sleep(PROBE_SECONDS)
        lags.append(loop.time() - due)
        LOOP_LAG.set(max(lags))
