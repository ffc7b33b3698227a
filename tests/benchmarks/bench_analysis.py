"""How much of what couples contexts the ledger finds, and how quickly: precision and recall of each kind over the labelled corpus
(``tests/corpus_analysis``), beside import-linter and tach where they claim the kind; and seconds on generated code bases.

``LINES=400000,4000000`` says how long those are; ``LINES=`` leaves them out.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.local.ports import Ports
from deploy.local.postgres import Postgres
from tests.benchmarks.analysis import analysers, codebase
from tests.benchmarks.analysis.analysers import IMPORTS, RELATIONS, Known
from tests.benchmarks.figures import Figure
from tests.corpus_analysis.reading import Key, Labelled, projects
from tests.corpus_analysis.scoring import WANTED, scores, told

ROOT = Path(__file__).resolve().parents[2]
MODELS = 200
STATIC_S = {400_000: 8.0, 4_000_000: 60.0}
LIVE_S = 3.0
LINES = [int(each) for each in os.environ.get("LINES", "400000,4000000").split(",") if each]
PEERS = {"import-linter": analysers.import_linter, "tach": analysers.tach}


def measure() -> list[Figure]:
    """Shares of edges, and seconds."""
    analysers.install()
    with tempfile.TemporaryDirectory(prefix="strangler-bench-") as name, _server() as url:
        return [*_corpus(url, Path(name)), *(figure for lines in LINES for figure in _sized(lines, url, Path(name)))]


def _corpus(url: str, folder: Path) -> Iterator[Figure]:
    asked = projects()
    answers = json.loads(_python(["-m", "tests.corpus_analysis.looking"], url))
    for name, answer in answers.items():
        if answer["error"]:
            raise RuntimeError(f"{name}: {answer['error']}")
    found = {name: answer["edges"] for name, answer in answers.items()}
    for score in scores(asked, found).values():
        print(told(score))
        recall = score.recall if score.labelled else 0.0  # what nobody labelled has not been shown to be found
        yield Figure(f"{score.kind}, recall", recall, f"{score.labelled} labels", 1.0, "share", least=WANTED)
        yield Figure(f"{score.kind}, precision", score.precision, f"{score.look_alikes} look-alikes", 1.0, "share", least=WANTED)
    yield from _beside(asked, {name: {tuple(edge) for edge in edges} for name, edges in found.items()}, folder)


def _beside(asked: list[Labelled], ours: dict[str, set[Key]], folder: Path) -> Iterator[Figure]:
    """What the peers claim: whom a file imports, and (tach) whom its models' relations name."""
    seen: dict[str, dict[str, Known]] = {name: {} for name in ("ours", *PEERS)}
    for project in asked:
        root = folder / project.name
        project.write(root)
        seen["ours"][project.name] = analysers.brought_down(ours[project.name], (*IMPORTS, *RELATIONS))
        for name, run in PEERS.items():
            try:
                seen[name][project.name] = run(root, _contexts(project))
            except subprocess.CalledProcessError as error:  # import-linter reads nothing where one file can't be parsed
                print(f"{name} gives up on {project.name}: {(error.stderr or error.stdout).strip().splitlines()[-1]}")
                seen[name][project.name] = set()
    found = {name: {(project, *one) for project, known in each.items() for one in known} for name, each in seen.items()}
    imported = _truth(asked, IMPORTS)
    for what, truth in (("imports", imported), ("relations that no import tells", _truth(asked, RELATIONS) - imported)):
        hits = {name: len(truth & known) for name, known in found.items()}
        print(f"{what}: of {len(truth)} (file, context) " + ", ".join(f"{name} {count}" for name, count in hits.items()))
        for name in PEERS:
            if hits[name]:
                yield Figure(f"{what}, found", hits["ours"], name, hits[name], f"of {len(truth)}", least=1.0)
            else:
                yield Figure(f"{what}, found", hits["ours"], f"all ({name} finds none)", len(truth), f"of {len(truth)}")


def _truth(asked: list[Labelled], kinds: tuple[str, ...]) -> set[tuple[str, str, str]]:
    """(project, file, context). What knows, or is known by, no app of its own is left out: the peers are told of apps alone."""
    return {
        (project.name, *one)
        for project in asked
        for one in analysers.brought_down(project.edges | project.known, kinds)
        if one[1] != "project" and not one[0].startswith("config/")
    }


def _contexts(project: Labelled) -> dict[str, str]:
    """Module of an app → context: in the corpus the app's label, which the last part of its name is."""
    modules = [app.partition(".apps.")[0] for app in project.apps]
    return {module: module.rpartition(".")[2] for module in modules}


def _sized(lines: int, server: str, folder: Path) -> Iterator[Figure]:
    root = folder / f"codebase{lines}"
    written = codebase.write(root, lines, MODELS)
    said = f"{written:,} lines"
    static = _timed(root, "static", server)
    yield Figure(f"static, {said}", static["seconds"], "target", STATIC_S.get(lines, lines / 50_000), "s", 1.0)
    if lines == min(LINES):
        migrate = ["-W", "ignore", "-m", "django", "migrate", "--run-syncdb", "-v0"]
        _python(migrate, server, root, DJANGO_SETTINGS_MODULE="config.settings")
        yield Figure(f"live, {MODELS} models", _timed(root, "live", server)["seconds"], "target", LIVE_S, "s", 1.0)
    contexts = {f"shop.{path.name}": path.name for path in (root / "shop").iterdir() if path.is_dir()}
    for name, run in PEERS.items():
        yield Figure(f"static, {said}", static["seconds"], f"{name}, imports alone", analysers.seconds(run, root, contexts), "s")


def _timed(root: Path, part: str, url: str) -> dict[str, float]:
    answer: dict[str, float] = json.loads(_python(["-m", "tests.benchmarks.analysis.timed", str(root), part], url))
    print(f"{root.name}, {part}: {answer}")
    return answer


def _python(words: list[str], url: str, *paths: Path, **more: str) -> str:
    path = os.pathsep.join(map(str, (*paths, ROOT)))
    env = os.environ | {"DATABASE_URL": url, "PYTHONPATH": path} | more
    done = subprocess.run([sys.executable, *words], cwd=ROOT, env=env, text=True, stdout=subprocess.PIPE, check=False)
    if done.returncode and not done.stdout.strip():
        raise RuntimeError(f"{words} ended with {done.returncode}")
    return done.stdout.strip().splitlines()[-1] if done.stdout.strip() else ""


@contextmanager
def _server() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="strangler-bench-") as name:
        directory = Path(name)
        directory.chmod(0o711)
        server = Postgres(directory, Ports.free().postgres, durable=False)
        server.start()
        try:
            yield server.ensure_database("corpus")
        finally:
            server.stop()
            server.discard()
