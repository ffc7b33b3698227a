"""Apps, database, cache, log-in, security. Everything that differs between machines comes from the environment."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import environ
from django.core.exceptions import ImproperlyConfigured

env = environ.Env()
BASE_DIR = Path(__file__).resolve().parents[2]
if "DATABASE_URL" not in os.environ:  # a running `make up` tells commands in another terminal where it is
    env.read_env(Path(env("STRANGLER_STATE_DIR", default=str(BASE_DIR / ".run"))) / "estate.env")

DEBUG = env.bool("DEBUG", default=False)
SECRET_KEY = env("SECRET_KEY", default="insecure-for-development-only-0123456789abcdef" if DEBUG else "")
if not SECRET_KEY:
    raise ImproperlyConfigured("no shop runs here: start it in another terminal (make up), or set SECRET_KEY and DATABASE_URL")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["127.0.0.1", "localhost"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "strangler",
    "monolith.users",
    "monolith.customers",
    "monolith.products",
    "monolith.orders",
    "monolith.payments",
    "monolith.shell",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "strangler.seams.middleware.StampMiddleware",
    "strangler.seams.middleware.PositionMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "monolith.shell.visitor.LocaleMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "monolith.urls"
WSGI_APPLICATION = "monolith.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.i18n",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "monolith.shell.cart.cart_size",
                "monolith.shell.visitor.choices",
            ],
        },
    },
]

# One connection a thread, kept: the app servers run threads, and the pool of a thread pool is the threads.
DATABASES = {
    "default": {
        **env.db("DATABASE_URL", default="postgres://shop:shop@127.0.0.1:25432/shop"),
        "CONN_MAX_AGE": env.int("CONN_MAX_AGE", default=60),
        "CONN_HEALTH_CHECKS": True,
        "ATOMIC_REQUESTS": False,  # services say themselves what is one transaction
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL = env("REDIS_URL", default="redis://127.0.0.1:26390/0")
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": env("CACHE_URL", default=urlunsplit(urlsplit(REDIS_URL)._replace(path="/1"))),
        "KEY_PREFIX": "shop",
        "OPTIONS": {"socket_connect_timeout": 1, "socket_timeout": 2},
    }
}
SESSION_ENGINE = "django.contrib.sessions.backends.cache"  # storage that a lifted service shares
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"

AUTH_USER_MODEL = "users.User"
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "shell:login"
LOGIN_REDIRECT_URL = "shell:products"
LOGOUT_REDIRECT_URL = "shell:products"

# JWT: RS256. The key is PEM text, or a file that is made on first use where JWT_GENERATE allows it.
JWT_PRIVATE_KEY = env.str("JWT_PRIVATE_KEY", default="", multiline=True)
JWT_PRIVATE_KEY_FILE = Path(env("JWT_PRIVATE_KEY_FILE", default=str(BASE_DIR / ".run" / "jwt.pem")))
JWT_GENERATE = DEBUG
JWT_LIFETIME_S = env.int("JWT_LIFETIME_S", default=3600)
JWT_REFRESH_LIFETIME_S = env.int("JWT_REFRESH_LIFETIME_S", default=14 * 24 * 3600)

SITE_URL = env("SITE_URL", default="http://127.0.0.1:8000").rstrip("/")  # as it stands in mails
vars().update(env.email("EMAIL_URL", default="consolemail://"))
DEFAULT_FROM_EMAIL = env("DEFAULT_FROM_EMAIL", default="The shop <shop@example.com>")

LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("de", "Deutsch")]
LOCALE_PATHS = [BASE_DIR / "monolith" / "locale"]
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = True
CURRENCY = "EUR"
SHOP_DASHBOARD = ["monolith.shell.dashboard.sales", "monolith.shell.dashboard.sellers", "monolith.shell.dashboard.feed"]

MEDIA_URL = "/media/"
MEDIA_ROOT = env("MEDIA_ROOT", default=str(BASE_DIR / ".run" / "media"))
STATIC_URL = "/static/"
STATIC_ROOT = env("STATIC_ROOT", default=None)
WHITENOISE_USE_FINDERS = True  # files are found in the apps: no collectstatic before the first page
WHITENOISE_AUTOREFRESH = False

SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

PAYMENT_WEBHOOK_SECRET = env(
    "PAYMENT_WEBHOOK_SECRET", default=hashlib.sha256(f"payments.webhook:{SECRET_KEY}".encode()).hexdigest()
)

STRANGLER = {
    "ESTATE": env("STRANGLER_ESTATE", default=str(BASE_DIR / "strangler.toml")),
    "SIDE": "monolith",
    "CONTEXT": "",
    "REDIS_URL": REDIS_URL,
    "TOKEN": env("STRANGLER_SERVICE_TOKEN", default=""),
    "DATABASE": "default",
}
