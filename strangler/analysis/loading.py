"""Django set up without the apps that can't be: they are named, and everything else is looked at."""
from __future__ import annotations
from strangler.analysis.survey.contexts import App
def left_out() -> tuple[App, ...]:
    return ()
