"""Who uses a context while the monolith runs: requests, tasks and commands that hit its views, read or write its tables.

On the path of a request a statement is only put down, as the text that the code gave (``statements``), in the unit of work that
ran it (``units``). A thread reads the texts (``reading``), adds up (``tally``) and stores counts per hour (``flushing``,
``storing``). What is kept for sure:

- Nothing here is ever raised into the code that is watched, nor does it wait for the database.
- Memory is bounded. What found no room is counted as lost, and a loss ends the time for which the record is complete.
- A flush is one transaction that adds to what others counted. A crash loses what was not flushed: a few seconds at most.
- All times are the database's: hour, last use, and the spans of time in which somebody recorded.
- What the product does for itself (mirror, drift, its commands and pages) is left out.

What it can't see: statements that don't go through Django's cursors (``psql``, other programs, the driver's own cursor), and what
functions, procedures and triggers of the database do by themselves.
"""

from strangler.analysis.usage.units import command, ours, request_begun, request_ended, serving, through

__all__ = ["command", "ours", "request_begun", "request_ended", "serving", "through"]
