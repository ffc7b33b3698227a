"""Pretalx's own settings, with the product."""

from pretalx.settings import *  # noqa: F403
from pretalx.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "strangler"]
