"""Asks the detectors about projects of the corpus: ``python -m tests.corpus_analysis.looking [NAME …]`` prints one JSON object,
project → {"edges": [[kind, source, target, where, what], …], "skipped": [[what, where, why], …], "error": "", "seconds": …}.

Each project gets a process of its own, forked after the heavy imports: Django can be set up once a process. ``DATABASE_URL``
names a PostgreSQL server, on which projects that ask for one get a database each.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg

from tests.corpus_analysis.reading import Labelled, projects

AT_ONCE = 2
HEAVY = (  # what can be imported without settings, once for all
    "django.contrib.admin",
    "django.core.management.commands.migrate",
    "django.db.backends.postgresql.base",
    "django.db.backends.sqlite3.base",
    "django.template.loader",
    "django.test.client",
    "django.views.generic",
    "celery.app.base",
    "celery.fixups.django",
    "environ",
    "sqlglot.dialects.postgres",
    "sqlglot.dialects.sqlite",
    "strangler.analysis.collect",
    "strangler.analysis.runtime.sessions",
)


def main(names: list[str]) -> int:
    for module in HEAVY:
        importlib.import_module(module)
    asked = sorted(projects(tuple(names)), key=lambda project: project.database == "none")  # those that take longest first
    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = dict(zip((project.name for project in asked), pool.map(apart, asked), strict=True))
    print(json.dumps(answers))
    return 1 if any(answer["error"] for answer in answers.values()) else 0


def apart(project: Labelled) -> dict[str, Any]:
    """In a process of its own, with a folder and a database of its own."""
    with tempfile.TemporaryDirectory(prefix="strangler-corpus-") as name, _database(project, Path(name)) as url:
        root = Path(name, project.name).resolve()
        project.write(root)
        answer = Path(name, "answer.json")
        child = os.fork()
        if not child:
            code = 1
            try:
                answer.write_text(json.dumps(look(project, root, url)))
                code = 0
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        if not answer.exists():
            return {"edges": [], "skipped": [], "error": f"its process ended with {status}", "seconds": 0.0}
        return json.loads(answer.read_text())  # type: ignore[no-any-return]


def look(project: Labelled, root: Path, url: str) -> dict[str, Any]:
    """Sets Django up, so this can be called once."""
    began = time.perf_counter()
    edges: list[list[str]] = []
    skipped: list[list[str]] = []
    error = ""
    try:
        ledger = _ledger(project, root, url)
        edges = sorted(list(edge.key) for edge in ledger.edges)
        skipped = sorted([one.what, one.where, one.why] for one in ledger.skipped)
    except BaseException:
        error = traceback.format_exc()
    return {"edges": edges, "skipped": skipped, "error": error, "seconds": time.perf_counter() - began}


def _ledger(project: Labelled, root: Path, url: str) -> Any:
    os.chdir(root)
    sys.path[:0] = [str(root), str(root.parent / "beside")]
    os.environ.update(DATABASE_URL=url, DJANGO_SETTINGS_MODULE="config.settings")
    import django

    django.setup()
    from django.core.management import call_command

    from strangler.analysis.collect import collect

    if project.database != "none":
        call_command("migrate", run_syncdb=True, verbosity=0)
    recorded = _recorded(root) if project.scenario else None
    return collect(recorded=recorded)


def _recorded(root: Path) -> Path | None:
    """What ``run()`` of the project's scenario shows, after its ``prepare()`` has filled the tables."""
    from strangler.analysis.runtime import documents, sessions

    scenario = importlib.import_module("scenario")
    scenario.prepare()
    if not hasattr(scenario, "run"):
        return None
    sessions.record()
    with sessions.test("scenario"):
        scenario.run()
    path = root / "ledger.json"
    documents.write(path, sessions.drained())
    return path


@contextmanager
def _database(project: Labelled, folder: Path) -> Iterator[str]:
    if project.database != "postgres":
        yield "sqlite://:memory:" if project.database == "none" else f"sqlite:///{folder}/project.sqlite3"
        return
    server, name = os.environ["DATABASE_URL"], f"corpus_{project.name}_{os.getpid()}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
        try:
            yield urlunsplit(urlsplit(server)._replace(path=f"/{name}"))
        finally:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
