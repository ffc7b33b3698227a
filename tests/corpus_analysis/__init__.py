"""The truth that the detectors of the coupling ledger are held against: small Django projects with every edge labelled by hand.

A project is one file in ``projects/`` (``reading`` has its form), so that linters of this repository don't read it. ``looking``
asks the detectors about each project in a process of its own; ``scoring`` holds what they found against the labels.
"""
