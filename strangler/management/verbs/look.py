"""Verbs that only look: status, explain."""

from __future__ import annotations

import argparse

from strangler.control import explain as explaining
from strangler.control import status as reporting
from strangler.management import render
from strangler.management.answer import FAILED, PASS, Answer, Subparsers, verb


def add(subparsers: Subparsers) -> None:
    parser = verb(
        subparsers,
        "status",
        status,
        help="Where a context stands: who reads and writes where, what runs, what is next, and whether going back is safe. "
        "Ends with 1 where a stream is broken.",
        example="strangler status payments",
    )
    parser.add_argument("context", nargs="?", metavar="CONTEXT", help="all contexts without it")
    parser = verb(
        subparsers,
        "explain",
        explain,
        help="How a request would be routed now: target, rule, reason.",
        example="strangler explain GET /api/payments/7 --user 42",
    )
    parser.add_argument("method", metavar="METHOD")
    parser.add_argument("path", metavar="PATH")
    parser.add_argument("--user", default="", metavar="ID", help="the user's id, as in the `sub` of the token")
    parser.add_argument("--override", default="", metavar="SIDE", help="as if a tester's override named this side")


def status(options: argparse.Namespace) -> Answer:
    if options.context:
        (seen,) = reporting.report([options.context])
        return Answer(seen.to_json(), render.status(seen), FAILED if seen.is_broken else PASS)
    listed = reporting.report()
    code = FAILED if any(seen.is_broken for seen in listed) else PASS
    return Answer({"contexts": [seen.to_json() for seen in listed]}, render.overview(listed), code)


def explain(options: argparse.Namespace) -> Answer:
    found = explaining.explain(options.method, options.path, user=options.user, asked=options.override)
    return Answer(found, render.pairs(found))
