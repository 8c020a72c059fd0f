"""What the realtime parts count, for Prometheus."""

from prometheus_client import Counter, Gauge, Histogram

JOINS = Counter("reelroom_joins", "Streams that joined, by where they began", ["source"])
GAPS = Counter("reelroom_gaps", "Times the log held more than the hints had told", ["cause"])
FOLLOWERS = Gauge("reelroom_followers", "Streams that are open in this process")
HUBS = Gauge("reelroom_hubs", "Projects that this process holds a hub for")
WRITES = Counter("reelroom_writes", "Writes to streams")
WRITTEN = Counter("reelroom_written_events", "Events in these writes")
ENCODED = Counter("reelroom_encoded", "Events encoded, by encoding", ["encoding"])
SLOW_KILLS = Counter("reelroom_slow_kills", "Streams ended because a write stalled")
FELL_BEHIND = Counter("reelroom_fell_behind", "Readers that fell off the ring")
RESETS = Counter("reelroom_resets", "sync.reset told, by reason", ["reason"])
LIVE_DROPPED = Counter("reelroom_live_dropped", "Live events not told, by cause", ["cause"])
ASKS = Counter("reelroom_asks", "Times a hub asked for the text so far of a run")
LOG_READS = Counter("reelroom_log_reads", "Pages read from the log, by use", ["use"])
LOG_QUERIES = Counter("reelroom_log_queries", "Queries that hubs read the log with")
LOG_FAILURES = Counter("reelroom_log_failures", "Reads of the log that failed")
BUS = Counter("reelroom_bus", "Messages of the bus, by outcome", ["outcome"])
BUS_UP = Gauge("reelroom_bus_up", "Whether the bus to other processes is connected")
LAG = Histogram(
    "reelroom_lag_seconds",
    "From a durable event to its being passed on to the streams of a process",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
LOOP_LAG = Gauge("reelroom_loop_lag_seconds", "The longest that the event loop was late of late")
