"""Behind `make containers`: writes ``docker-compose.yml`` and the estate file that its containers read."""

from __future__ import annotations

import sys

from deploy.containers.compose import as_text, compose
from deploy.containers.place import Containers
from deploy.local.place import ROOT, estate_text


def files() -> dict[str, str]:
    """Path below the repository's root → text."""
    place = Containers.of_compose()
    return {"docker-compose.yml": as_text(compose(place)), "deploy/containers/strangler.toml": estate_text(place)}


def main() -> int:
    for path, text in files().items():
        (ROOT / path).write_text(text, encoding="utf-8")
        print(f"wrote {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
