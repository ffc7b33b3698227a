"""A shop on django-oscar, as its documentation begins one."""

from pathlib import Path

import environ
from oscar import INSTALLED_APPS as OSCAR
from oscar.defaults import *  # noqa: F403

BASE_DIR = Path(__file__).resolve().parent
SECRET_KEY = "of a test"
ROOT_URLCONF = "urls"
SITE_ID = 1
INSTALLED_APPS = [*OSCAR, "strangler"]
DATABASES = {"default": environ.Env.db_url_config(environ.Env().str("DATABASE_URL", "sqlite://:memory:"))}
HAYSTACK_CONNECTIONS = {"default": {"ENGINE": "haystack.backends.simple_backend.SimpleEngine"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
STATIC_URL = "/static/"
USE_TZ = True
