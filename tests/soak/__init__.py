"""Minutes of mixed traffic against the proxy while tables flip, targets restart and workers are killed: ``make soak``.

``estate`` runs the processes; ``traffic`` with ``users``, ``bodies``, ``talks`` and ``trouble`` makes requests; ``flips`` moves a
context to and fro, ``faults`` kills; ``watch`` and ``gigabyte`` measure, ``journal`` keeps what happened, ``verdict`` judges it.
"""
