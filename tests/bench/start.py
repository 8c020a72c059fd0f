"""The time from a start to the first answer, and the memory of the idle server.

    python -m tests.bench start [--runs 5]

The second start is that of every day: the data is there. Weight is the resident memory of the
server's own processes a few seconds later, without PostgreSQL's.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import httpx

from tests.harness.process import Reelroom

SETTLE_SECONDS = 3.0  # after the first answer, before the memory is measured


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench start")
    parser.add_argument("--runs", type=int, default=5)
    runs: int = parser.parse_args().runs
    figures: dict[str, list[float]] = {}
    for _ in range(runs):
        with tempfile.TemporaryDirectory() as folder:
            for kind in ("first start", "second start"):
                for name, value in measure(Path(folder)).items():
                    figures.setdefault(f"{kind}, {name}", []).append(value)
    print(f"{'median of ' + str(runs) + ' runs':<36}{'median':>10}{'least':>10}{'most':>10}")
    for name, values in figures.items():
        row = statistics.median(values), min(values), max(values)
        print(f"{name:<36}" + "".join(f"{value:>10.2f}" for value in row))


def measure(folder: Path) -> dict[str, float]:
    began = time.monotonic()
    with Reelroom(cwd=folder, REELROOM_DATA_DIR=str(folder / "data")) as reelroom:
        reelroom.ready()
        ready = time.monotonic() - began
        assert httpx.get(reelroom.url + "/health/ready").status_code == 200
        answered = time.monotonic() - began
        time.sleep(SETTLE_SECONDS)
        weight = sum(resident(pid) for pid in reelroom.family() if is_ours(pid))
        ending = time.monotonic()
        reelroom.end()
        return {
            "ready line, s": ready,
            "first answer, s": answered,
            "idle memory, MB": weight,
            "end, s": time.monotonic() - ending,
        }


def is_ours(pid: int) -> bool:
    return b"-m\0app" in Path(f"/proc/{pid}/cmdline").read_bytes()


def resident(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


if __name__ == "__main__":
    main()
