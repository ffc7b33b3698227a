"""`make faults`: writers of every kind while worker, service, broker, databases and network are killed, paused and cut at random.

One seed gives the schedule of faults (``plan``) and each writer's statements (``workload``); ``estate`` is what runs, ``network``
the addresses that can be cut, ``faults`` what is done to it, ``journal`` what was acknowledged, ``audit`` what the destination
notices itself, ``verdict`` what must hold at the end of each round.
"""
