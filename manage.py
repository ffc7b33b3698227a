#!/usr/bin/env python
"""Django's command line for the shop."""

import os
import sys


def main() -> None:
    if sys.argv[1:2] == ["up"]:  # it makes the secrets that the settings ask for, so it can't wait for them
        from deploy.local.up import main as up

        sys.exit(up(sys.argv[2:]))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "monolith.settings")
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.exit(f"manage.py: {error}")


if __name__ == "__main__":
    main()
