"""Where Celery's autodiscovery looks for the tasks of the app ``strangler``."""

from importlib.util import find_spec

from celery.signals import task_postrun, task_prerun, worker_process_shutdown, worker_shutdown

from strangler.analysis.usage import flushing, units
from strangler.sync.tasks import run

__all__ = ["run"]

if find_spec("strangler.control.tasks"):
    from strangler.control.tasks import ramp_tick, tick

    __all__ += ["ramp_tick", "tick"]

task_prerun.connect(units.task_begun)
task_postrun.connect(units.task_ended)
for ends in (worker_process_shutdown, worker_shutdown):
    ends.connect(flushing.stop_with)
