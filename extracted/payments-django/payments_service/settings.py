"""The monolith's settings, and what is different in the service of payments (DESIGN section 8).

Apps and URLs stay the monolith's, so that relations, migrations and links work; the guard lets only payments' routes through.
"""

from __future__ import annotations

from django.conf import global_settings

from monolith import settings as monolith
from monolith.settings import *  # noqa: F403
from monolith.settings import CACHES, DATABASES, INSTALLED_APPS, MIDDLEWARE, STRANGLER, env

STRANGLER = {**STRANGLER, "SIDE": "service", "CONTEXT": "payments"}

# Its own database. PAYMENTS_DATABASE_URL first: in an environment that names both, DATABASE_URL may be the monolith's.
if "PAYMENTS_DATABASE_URL" in env.ENVIRON:
    DATABASES = {"default": {**DATABASES["default"], **env.db("PAYMENTS_DATABASE_URL")}}

INSTALLED_APPS = [*INSTALLED_APPS, "strangler.replica"]

_INSTEAD = {
    "django.contrib.sessions.middleware.SessionMiddleware": "strangler.replica.identity.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware": "strangler.replica.identity.AuthenticationMiddleware",
}
_NOT_HERE = {"whitenoise.middleware.WhiteNoiseMiddleware"}  # static files stay with the monolith
MIDDLEWARE = [
    "strangler.replica.guard.GuardMiddleware",
    *(_INSTEAD.get(name, name) for name in MIDDLEWARE if name not in _NOT_HERE),
]

SILENCED_SYSTEM_CHECKS = ["admin.E408"]  # the admin is the monolith's and not served here; its models are only known

# The monolith's session storage; a cache of its own.
SESSION_CACHE_ALIAS = "sessions"
STRANGLER_SESSION_HASH = True  # the copy of users.User has the stamp that a session's hash is made of
CACHES = {"default": {**CACHES["default"], "KEY_PREFIX": "payments"}, "sessions": CACHES["default"]}

# Mail goes out by the monolith's way, once this is the owner (P26).
STRANGLER_EMAIL_BACKEND = getattr(monolith, "EMAIL_BACKEND", global_settings.EMAIL_BACKEND)
EMAIL_BACKEND = "strangler.replica.quiet.EmailBackend"

CELERY_TASK_DEFAULT_QUEUE = "payments"
CELERY_BEAT_SCHEDULE: dict[str, dict[str, object]] = {}  # the monolith's beat rings; what is the service's is forwarded (P19)

WSGI_APPLICATION = "payments_service.wsgi.application"
