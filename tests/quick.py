"""Lint, types, import order and the quick tests, all at once: `python -m tests.quick`.

Prints the last line of each check, or all that a failed one printed; exits with 1 if one failed.
The whole suite is `pytest`.
"""

import subprocess
import sys
import time

LINT_IMPORTS = "from importlinter.cli import lint_imports_command; lint_imports_command()"
CHECKS = {
    "lint": ["-m", "ruff", "check", "."],
    "format": ["-m", "ruff", "format", "--check", "."],
    "types": ["-m", "mypy"],
    "imports": ["-c", LINT_IMPORTS],
    "tests": ["-m", "pytest", "-q", "-n0", "--quick"],
}


def main() -> int:
    began = time.monotonic()
    running = {
        name: subprocess.Popen(
            [sys.executable, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for name, arguments in CHECKS.items()
    }
    failed = []
    for name, process in running.items():
        output, _ = process.communicate()
        if process.returncode:
            failed.append(name)
            print(f"--- {name} failed\n{output}")
        else:
            last = [line for line in output.splitlines() if line.strip()][-1:]
            print(f"{name}: {''.join(last)}", flush=True)
    took = time.monotonic() - began
    print(f"{', '.join(failed)} failed" if failed else "all is well", f"({took:.0f} s)")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
