"""Piccolo's app configuration: the tables and the folder of the migrations."""

from pathlib import Path

from piccolo.conf.apps import AppConfig, table_finder

from app.store.migration import APP_NAME, MIGRATIONS

TABLES = [
    "app.realtime.tables",
    "app.auth.tables",
    "app.projects.tables",
    "app.scenes.tables",
    "app.generations.tables",
    "app.runs.tables",
    "app.http.tables",
]

APP_CONFIG = AppConfig(
    app_name=APP_NAME,
    migrations_folder_path=Path(MIGRATIONS),
    table_classes=table_finder(TABLES, exclude_imported=True),
)
