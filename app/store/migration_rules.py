"""Checks the source of a migration file before it runs."""

import ast
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from app.store.statements import Statement, split

FILE_NAME_PATTERN = re.compile(r"\d{4}_[a-z0-9_]+\.py")
ALLOWED_IMPORTS = {
    "from piccolo.apps.migrations.auto.migration_manager import MigrationManager",
    "from app.store.migration import script",
}
REQUIRED_CONSTANTS = ("ID", "VERSION", "DESCRIPTION", "FORWARDS")
FORWARDS_BODY = (
    "manager = MigrationManager(migration_id=ID, app_name='reelroom', description=DESCRIPTION)",
    "manager.add_raw(script(FORWARDS))",
    "return manager",
)
# The first migrations have an unused backwards script; applied files must not be changed.
OLD_FORWARDS_LINE = "manager.add_raw_backwards(script(BACKWARDS))"

NAME = r'(?:"[^"]+"|[\w.])+'
# Not allowed in any migration: (pattern, reason).
FORBIDDEN_PATTERNS = (
    (
        r"^(begin|start|commit|end|rollback|abort|savepoint|release|prepare)\b",
        "the runner controls the transaction",
    ),
    (r"\bconcurrently\b|^(vacuum|cluster|reindex)\b", "it cannot run in a transaction"),
)
# Allowed only in reviewed migrations, since they can lose data: (statement, pattern, reason).
DANGEROUS_PATTERNS = (
    (r"^", r"^drop (table|schema|type|domain|sequence|owned|trigger|extension)\b", "drops"),
    (r"^drop", r"\bcascade$", "drops what depends on it, too"),
    (
        r"^alter (foreign )?table",
        r"\bdrop (?!constraint\b|default\b|not null\b|identity\b|expression\b)",
        "drops a column",
    ),
    (r"^alter table", rf"\balter (column )?{NAME} (set data )?type\b", "changes a column's type"),
    (r"^alter (type|domain)", r"^alter \w+ \S+ (?!add value\b)", "changes a type"),
    (r"^alter", r"\brename\b", "renames"),
    (r"^truncate", r"^", "empties a table"),
    (r"", r"\bdelete from\b", "deletes rows"),
    (r"^alter", r"\bdisable (trigger|rule|row)\b", "disables a guard"),
    (r"", r"\bsession_replication_role\b", "disables all guards"),
    (r"^(?!(create|alter|drop|comment|insert|update|with|grant|revoke|analyze|set|do)\b)", r"", ""),
)
UPDATE = re.compile(
    rf"(?<!on )(?<!for )(?<!no key )\bupdate (only )?(?!set\b|on\b|of\b|or\b){NAME}"
)
WHERE = re.compile(r"\bwhere (?!(true|not false|1 ?= ?1)( ?\)|$))")
CHANGES = re.compile(
    r"\b(insert into|update|delete|truncate|merge|drop|alter|execute|perform|call|copy)\b"
)
DESTROYS = re.compile(r"\b(delete from|truncate|drop|alter|execute)\b")


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """The content of a migration file, which is parsed and never imported."""

    name: str
    id: str
    statements: tuple[Statement, ...]
    reviewed: str | None
    may_change: frozenset[str]
    digest: str

    @property
    def rewrites(self) -> bool:
        """Whether it may change existing rows, so that fingerprints must be compared."""
        return bool(self.reviewed) or any(UPDATE.search(one.code) for one in self.statements)


def read_source(path: Path) -> Source:
    """Parse a file in which `check_source` found no fault."""
    text = path.read_text().replace("\r\n", "\n")
    values = dict(_constants(ast.parse(text)))
    return Source(
        name=path.stem,
        id=values["ID"],
        statements=tuple(split(values["FORWARDS"])),
        reviewed=values.get("REVIEWED"),
        may_change=frozenset(values.get("MAY_CHANGE", ())),
        digest=hashlib.sha256(text.encode()).hexdigest(),
    )


def list_sources(folder: Path) -> list[Path]:
    """Return the migration files of a folder, sorted by name."""
    return sorted(path for path in folder.glob("*.py") if path.name != "__init__.py")


def check_folder(folder: Path) -> list[str]:
    """Return the faults of file names: another form, or a number that is used twice."""
    faults, seen = [], dict[str, str]()
    for path in list_sources(folder):
        if not FILE_NAME_PATTERN.fullmatch(path.name):
            faults.append(f"{path.name}: a migration is called NNNN_what_it_does.py")
        if (other := seen.setdefault(path.name[:4], path.name)) != path.name:
            faults.append(f"{path.name}: its number is taken by {other}")
    return faults


def check_source(path: Path) -> list[str]:
    """Return the faults of a migration file, without running it."""
    return [f"{path.name}: {fault}" for fault in _faults(path)]


def _faults(path: Path) -> Iterator[str]:
    try:
        tree = ast.parse(path.read_text())
        values = dict(_constants(tree))
    except (SyntaxError, ValueError) as error:
        yield f"only literals may stand at the top ({error})"
        return
    yield from _misplaced(tree)
    for name in REQUIRED_CONSTANTS:
        if not isinstance(values.get(name), str):
            yield f"{name} must be a text"
    if values.get("ID") != path.name[:4]:
        yield f"ID must be {path.name[:4]!r}, as in the file's name"
    reviewed = values.get("REVIEWED")
    if "REVIEWED" in values and not (isinstance(reviewed, str) and reviewed.strip()):
        yield "REVIEWED must state the reason"
    if isinstance(values.get("FORWARDS"), str):
        yield from _check_script(split(values["FORWARDS"]), reviewed=bool(reviewed))


def _constants(tree: ast.Module) -> Iterator[tuple[str, Any]]:
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                yield name, ast.literal_eval(value)


def _misplaced(tree: ast.Module) -> Iterator[str]:
    """Yield the faults of the module's statements.

    Piccolo runs the module and the body of `forwards()` even for a preview, so both may only
    register the script.
    """
    functions = 0
    for node in tree.body:
        match node:
            case ast.Expr(value=ast.Constant(value=str())):
                continue
            case ast.Assign(targets=[ast.Name()]):
                continue
            case ast.AsyncFunctionDef(name="forwards", decorator_list=[]):
                functions += 1
                yield from _check_forwards(node)
            case ast.Import() | ast.ImportFrom() if ast.unparse(node) in ALLOWED_IMPORTS:
                continue
            case _:
                yield f"line {node.lineno} does not belong into a migration"
    if functions != 1:
        yield "there must be one `async def forwards()`"


def _check_forwards(function: ast.AsyncFunctionDef) -> Iterator[str]:
    if any(
        isinstance(node, ast.Await | ast.AsyncFor | ast.AsyncWith) for node in ast.walk(function)
    ):
        yield "nothing may be awaited in forwards(): it runs outside the transaction"
    body = [ast.unparse(node) for node in function.body if ast.unparse(node) != OLD_FORWARDS_LINE]
    if ast.unparse(function.args) or tuple(body) != FORWARDS_BODY:
        yield f"forwards() may only contain: {'; '.join(FORWARDS_BODY)}"


def _check_script(statements: list[Statement], *, reviewed: bool) -> Iterator[str]:
    if not statements:
        yield "FORWARDS is empty"
    created = {
        match[2]
        for one in statements
        if (match := re.match(rf"create (unlogged )?table (?:if not exists )?({NAME})", one.code))
    }
    for one in statements:
        code = one.code[:80]
        yield from (
            f"{why}: {code}" for look, why in FORBIDDEN_PATTERNS if re.search(look, one.code)
        )
        if any("on delete" not in part for part in _references(one.code)):
            yield f"a foreign key must state ON DELETE: {code}"
        if not reviewed:
            yield from (f"not reviewed, {why}: {code}" for why in _dangers(one, created))


def _references(code: str) -> Iterator[str]:
    """Yield each foreign key of a statement, from `references` to the end of its column."""
    if not code.startswith(("create table", "create unlogged table", "alter table")):
        return
    for match in re.finditer(r"\breferences\b", code):
        depth = 0
        end = len(code)
        for at in range(match.end(), len(code)):
            depth += (code[at] == "(") - (code[at] == ")")
            if depth < 0 or (depth == 0 and code[at] == ","):
                end = at
                break
        yield code[match.start() : end]


def _dangers(one: Statement, created: set[str]) -> Iterator[str]:
    for where, look, why in DANGEROUS_PATTERNS:
        if re.search(where, one.code) and re.search(look, one.code):
            yield why or "runs what this check cannot see"
    for match in UPDATE.finditer(one.code):
        if not one.code.startswith("create") and not WHERE.search(one.code, match.end()):
            yield "updates every row"
    if "set not null" in one.code:
        table = re.match(rf"alter table (?:if exists )?(?:only )?({NAME})", one.code)
        if not table or table[1] not in created:
            yield "sets NOT NULL on a column that exists"
    if one.code.startswith("do ") and any(CHANGES.search(text) for text in one.texts):
        yield "changes data in a DO block"
    function = re.match(r"create (or replace )?(function|procedure)", one.code)
    if function and any(DESTROYS.search(text) for text in one.texts):
        yield "defines a function that destroys"
