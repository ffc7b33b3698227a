"""The parallel run, judged: two answers to one request compared, differences counted, noise told from fault. Pure.

``compare`` gives the differences of two answers; their fields, sorted, are the sample's ``Shape``. Who counts shapes per
endpoint (an ``Outcomes``) has all that ``statistics`` needs: a tally of each field, what is different, the parity and what it
lacks.
"""
