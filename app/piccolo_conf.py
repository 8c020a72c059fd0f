"""Piccolo's configuration: `PICCOLO_CONF=app.piccolo_conf piccolo migrations check`."""

from piccolo.conf.apps import AppRegistry

from app.settings import Settings
from app.store.database import SCHEMA as DB

__all__ = ["APP_REGISTRY", "DB"]

DB.config["dsn"] = Settings.read().database_url or ""
APP_REGISTRY = AppRegistry(apps=["app.piccolo_app"])
