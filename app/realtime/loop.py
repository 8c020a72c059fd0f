"""How late the event loop is: what everybody in this process waits for."""

import asyncio
from collections import deque

from app.realtime import metrics

PROBE = 0.05  # seconds between two looks
SPAN = 200  # looks that the gauge covers: ten seconds


async def watch_loop() -> None:
    """Keep the gauge at the longest delay of late, in seconds."""
    loop = asyncio.get_running_loop()
    late: deque[float] = deque(maxlen=SPAN)
    while True:
        due = loop.time() + PROBE
        await asyncio.sleep(PROBE)
        late.append(loop.time() - due)
        metrics.LOOP_LAG.set(max(late))
