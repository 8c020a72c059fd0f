"""Backs up all rows to files before a migration that can lose data."""

import csv
import os
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from asyncpg import Connection, Record

from app.store.migration_rules import Source


class BackupError(Exception):
    """The backup is incomplete."""


async def write_backup(
    connection: Connection, tables: list[Record], folder: Path, before: Source
) -> Path:
    """Write each table as CSV with a header into a new folder below `folder`; return its path.

    The caller locks the tables against writes. Each file is read back and its rows are counted; a
    wrong number raises `BackupError`. `manifest.json` has the number of rows of each file and the
    applied migrations. An incomplete backup never has the final name.
    """
    moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
    target = folder / f"{moment}-before-{before.name}"
    partial = target.with_suffix(".partial")
    _make(partial)
    rows = {}
    for table in tables:
        path = partial / f"{table['schema']}.{table['name']}.csv"
        tag = await connection.copy_from_table(
            table["name"], schema_name=table["schema"], output=path, format="csv", header=True
        )
        rows[path.name] = int(tag.rpartition(" ")[2])
        if _count(path) != rows[path.name]:
            raise BackupError(f"{path} does not hold the {rows[path.name]} rows of its table")
    applied = await connection.fetch(
        "select name, sha256 from migration_digest where name <> $1 order by name", before.id
    )
    manifest = {"rows": rows, "migrations": {one["name"]: one["sha256"] for one in applied}}
    _finish(partial, target, msgspec.json.format(msgspec.json.encode(manifest)))
    return target


def discard_backup(path: Path) -> None:
    """Remove the backup of an attempt that was rolled back and will be repeated."""
    shutil.rmtree(path)


def _make(partial: Path) -> None:
    partial.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    for incomplete in partial.parent.glob("*.partial"):
        shutil.rmtree(incomplete)
    partial.mkdir(mode=0o700)


def _count(path: Path) -> int:
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    with path.open(newline="") as file:
        return sum(1 for _ in csv.reader(file)) - 1


def _finish(partial: Path, target: Path, manifest: bytes) -> None:
    (partial / "manifest.json").write_bytes(manifest)
    for path in (*partial.iterdir(), partial):
        _sync(path)
    partial.rename(target)
    _sync(target.parent)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
