"""Lint, types, import order and the tests that need no server, at once: `python -m tests.quick`.

Prints what failed, and exits with 1 if anything did. The whole suite is `pytest`.
"""

import subprocess
import sys
import time

PURE_TESTS = [
    "tests/tools",
    "tests/brain/test_phrases.py",
    "tests/brain/test_prompts.py",
    "tests/client/test_conformance.py",
    "tests/store/test_query.py",
    "tests/store/test_migration_rules.py",
]
CHECKS = {
    "lint": ["ruff", "check", "."],
    "format": ["ruff", "format", "--check", "."],
    "types": ["mypy"],
    "imports": ["lint-imports"],
    "tests": [sys.executable, "-m", "pytest", "-q", "-n0", *PURE_TESTS],
}


def main() -> int:
    began = time.monotonic()
    running = {
        name: subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for name, command in CHECKS.items()
    }
    failed = []
    for name, process in running.items():
        output, _ = process.communicate()
        if process.returncode:
            failed.append(name)
            print(f"--- {name} failed\n{output}")
    took = time.monotonic() - began
    print(f"{', '.join(failed)} failed" if failed else "all is well", f"({took:.0f} s)")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
