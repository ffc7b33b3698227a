"""Where Celery's autodiscovery looks for the tasks of the app ``strangler``."""

from importlib.util import find_spec

from strangler.sync.tasks import run

__all__ = ["run"]

if find_spec("strangler.control.tasks"):
    from strangler.control.tasks import ramp_tick, tick

    __all__ += ["ramp_tick", "tick"]
