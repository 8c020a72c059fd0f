"""The parent process of several worker processes; it logs each replacement of a worker."""

import logging
import signal

from uvicorn.supervisors import Multiprocess

logger = logging.getLogger(__name__)


class Supervisor(Multiprocess):
    """Extends uvicorn's supervisor, which replaces workers without logging it."""

    def keep_subprocess_alive(self) -> None:
        """Replace the workers that have exited or do not respond, and log each replacement."""
        before = [(process, process.exitcode) for process in self.processes]
        super().keep_subprocess_alive()
        for (old, status), new in zip(before, self.processes, strict=True):
            if new is old:
                continue
            reason = describe_exit(old.exitcode)
            if status is None and old.exitcode == -signal.SIGKILL:
                reason += ", perhaps for not answering"
            message = "worker %s has ended (%s): worker %s replaces it"
            logger.warning(message, old.pid, reason, new.pid)


def describe_exit(status: int | None) -> str:
    """Return an exit status of `multiprocessing` as text; a negative one is a signal's name."""
    if status is None or status >= 0:
        return f"status {status}"
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"
