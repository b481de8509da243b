"""Django's settings for the library of tools; the views are in django_views.py."""

from __future__ import annotations

import secrets
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import django
from database import SCHEMA
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.handlers.asgi import ASGIHandler


def make_app(dsn: str, connections: int) -> ASGIHandler:
    """Configures Django, which can be done once in a process."""
    settings.configure(
        ALLOWED_HOSTS=["127.0.0.1", "localhost"],
        DATABASES={"default": database(dsn, connections)},
        DEFAULT_AUTO_FIELD="django.db.models.AutoField",
        ROOT_URLCONF="django_views",
        SECRET_KEY=secrets.token_hex(),
        USE_TZ=True,
    )
    django.setup()
    return get_asgi_application()


def database(dsn: str, connections: int) -> dict[str, Any]:
    """Django's settings for what asyncpg takes as one text."""
    parts = urlsplit(dsn)
    # A folder with a socket in it comes as ?host=
    host = parse_qs(parts.query).get("host", [parts.hostname or ""])[0]
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.path.lstrip("/"),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": host,
        "PORT": str(parts.port or ""),
        "OPTIONS": {
            "options": f"-c search_path={SCHEMA}",
            "pool": {"min_size": 1, "max_size": connections, "timeout": 30},
        },
    }
