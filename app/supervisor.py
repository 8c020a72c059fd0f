"""The parent of several web workers: who ended, and who came instead, is in the log."""

import logging
import signal

from uvicorn.supervisors import Multiprocess

log = logging.getLogger(__name__)


class Supervisor(Multiprocess):
    """Uvicorn's, which replaces a worker without a word that operators would see."""

    def keep_subprocess_alive(self) -> None:
        """Replace every worker that has ended, or does not answer and is killed; and say so."""
        before = [(process, process.exitcode) for process in self.processes]
        super().keep_subprocess_alive()
        for (old, status), new in zip(before, self.processes, strict=True):
            if new is old:
                continue
            why = ended_by(old.exitcode)
            if status is None and old.exitcode == -signal.SIGKILL:
                why += ", perhaps for not answering"
            log.warning("worker %s has ended (%s): worker %s replaces it", old.pid, why, new.pid)


def ended_by(status: int | None) -> str:
    """An exit status of `multiprocessing` in words: a signal's name when it is negative."""
    if status is None or status >= 0:
        return f"status {status}"
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"
