#!/usr/bin/env python
"""Commands of the payments service: ``python extracted/payments-django/manage.py migrate``."""

import os
import sys
from pathlib import Path

if __name__ == "__main__":
    here = Path(__file__).resolve().parent
    sys.path[:0] = [str(here), str(here.parents[1])]  # the service, and the monolith whose apps it runs
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "payments_service.settings")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)
