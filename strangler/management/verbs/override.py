"""The verb that lets a tester see the other side first."""

from __future__ import annotations

import argparse

from rich.markup import escape

from strangler.control import override as granting
from strangler.control.override import Grant
from strangler.management import render
from strangler.management.answer import Answer, Subparsers, Whole, verb


def add(subparsers: Subparsers) -> None:
    parser = verb(
        subparsers,
        "override",
        override,
        help="Sign an override: a tester's reads of the context go to a side, in the stages shadow and canary.",
        example="strangler override payments --to service --for 1h",
    )
    parser.add_argument("context", metavar="CONTEXT")
    parser.add_argument("--to", default="service", metavar="SIDE", help="service (default) or monolith")
    parser.add_argument("--for", default="1h", dest="lasting", metavar="TIME", help="how long: 30m, 8h, 7d at most (default 1h)")
    parser.add_argument("--url", default="http://127.0.0.1:8000", metavar="URL", help="where users come, for the examples")


def override(options: argparse.Namespace) -> Answer:
    granted = granting.grant(options.context, to=options.to, lasting=options.lasting, url=options.url)
    return Answer(granted.to_json(), _shown(granted))


def _shown(granted: Grant) -> list[str]:
    when = "now" if granted.heeded else f"from shadow on; {granted.context} is in stage {granted.stage}"
    return [
        render.heading(f"reads of {granted.context} go to the {granted.side} until {granted.until}"),
        f"  heeded {when}; whoever has it can use it: treat it as a password",
        "\nin a header\n",
        Whole(escape(granted.header)),
        "\nin a browser, typed into its console at the shop\n",
        Whole(escape(f'document.cookie = "{granted.cookie}"')),
        "\nwith curl\n",
        Whole(escape(granted.curl)),
    ]
