"""A Django project with one peer in it (``MIRROR``: ``cqrs`` or ``outbox``), in the peers' environment.

Only what the peers' guides ask for is set, and connections that live on: with Django's default each message opens a new one.
"""

import os
from urllib.parse import unquote, urlsplit


def database(url: str) -> dict[str, object]:
    parts = urlsplit(url)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": parts.hostname,
        "PORT": parts.port,
        "NAME": parts.path.lstrip("/"),
        "USER": parts.username,
        "PASSWORD": unquote(parts.password or ""),
        "CONN_MAX_AGE": None,
    }


SECRET_KEY = "only for benchmarks, never for anything else"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {"default": database(os.environ["DATABASE_URL"])}
MIRROR = os.environ["MIRROR"]
INSTALLED_APPS = [
    {"cqrs": "dj_cqrs", "outbox": "django_outbox_pattern"}[MIRROR],
    f"tests.benchmarks.sync.mirrors.{MIRROR}",
    "tests.benchmarks.sync.bare",
]
BROKER = urlsplit(os.environ["RABBITMQ_URL"])

if MIRROR == "cqrs":
    CQRS = {"transport": "dj_cqrs.transport.RabbitMQTransport", "url": os.environ["RABBITMQ_URL"], "queue": "replica"}
else:
    DJANGO_OUTBOX_PATTERN = {
        "DEFAULT_STOMP_HOST_AND_PORTS": [("127.0.0.1", int(os.environ["STOMP_PORT"]))],
        "DEFAULT_STOMP_USERNAME": BROKER.username,
        "DEFAULT_STOMP_PASSCODE": BROKER.password,
    }
