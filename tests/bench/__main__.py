"""`python -m tests.bench <name> …` runs tests/bench/<name>.py, which prints its table."""

import importlib
import sys
from pathlib import Path


def main() -> None:
    names = sorted(
        path.stem for path in Path(__file__).parent.glob("*.py") if not path.stem.startswith("_")
    )
    if len(sys.argv) < 2 or sys.argv[1] not in names:
        sys.exit(f"usage: python -m tests.bench {{{','.join(names)}}} [options]")
    name = sys.argv.pop(1)
    importlib.import_module(f"tests.bench.{name}").main()


main()
