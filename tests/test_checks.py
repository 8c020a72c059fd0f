"""The linters, type checkers and the browser client's tests report no error."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from importlinter import cli

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent


PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])


CONFORMANCE = {"REELROOM_CONFORMANCE": str(ROOT / "tests" / "conformance")}  # for both clients


def run(*arguments: str, cwd: Path = ROOT) -> None:
    environment = {**os.environ, "PATH": PATH, **CONFORMANCE}
    done = subprocess.run(arguments, cwd=cwd, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr


def test_imports_point_downwards() -> None:
    assert cli.lint_imports() == cli.EXIT_STATUS_SUCCESS


def test_the_code_is_clean() -> None:
    run(sys.executable, "-m", "ruff", "check", ".")
    run(sys.executable, "-m", "ruff", "format", "--check", ".")


@pytest.mark.timeout(400)
def test_the_types_hold() -> None:
    run(sys.executable, "-m", "mypy")


@pytest.mark.timeout(400)
def test_the_browser_client_is_well_typed_and_passes_its_tests(tmp_path: Path) -> None:
    """In a copy, with the Node of the install, so that this checkout does not change."""
    web = tmp_path / "web"
    ignored = shutil.ignore_patterns("node_modules", "dist")
    shutil.copytree(ROOT / "app" / "web", web, ignore=ignored)
    node = shutil.which("node", path=PATH)
    npm = shutil.which("npm", path=PATH)
    assert node, "node comes with the test dependencies"
    assert npm, "npm comes with the test dependencies"
    run(npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", cwd=web)
    run(npm, "run", "check", cwd=web)
    run(npm, "test", cwd=web)


def test_no_lock_file_names_a_host() -> None:
    for name in ("constraints.txt", "app/web/package-lock.json"):
        text = (ROOT / name).read_text()
        assert "http://" not in text
        assert "https://registry" not in text
