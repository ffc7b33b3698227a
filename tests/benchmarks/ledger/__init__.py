"""A Django project with one table of a typical width, to measure how its rows move: the settings of both sides' processes."""

from tests.benchmarks.ledger.celery import app as celery_app  # shared tasks bind to it

__all__ = ["celery_app"]
