"""import-linter (its graph, by grimp) and tach (with its plugin for Django) on a project of the corpus or a generated one.

What they know is a file and whom it knows; so ours is brought to the same: (file, context). They have an environment
of their own.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.benchmarks import peers
from tests.corpus_analysis.reading import Key

VENV = peers.ROOT / "build" / "analysers"
LOCK = peers.ROOT / "tests" / "benchmarks" / "analysis" / "requirements.lock"
IMPORTS = ("import", "late_import", "typing_import", "seam")
RELATIONS = ("foreign_key", "one_to_one", "many_to_many")
PATIENCE_S = 600
GRIMP = """
import json, sys
import grimp
graph = grimp.build_graph(*json.loads(sys.argv[1]), cache_dir=None)
known = graph.find_modules_directly_imported_by
print(json.dumps([[one, other] for one in sorted(graph.modules) for other in sorted(known(one))]))
"""
Known = set[tuple[str, str]]  # file, context


def install() -> None:
    peers.install(VENV, LOCK)


def brought_down(edges: Iterable[Key], kinds: Iterable[str]) -> Known:
    return {(where.partition(":")[0], target) for kind, _, target, where, _ in edges if kind in kinds}


def import_linter(root: Path, contexts: Mapping[str, str]) -> Known:
    """``contexts``: module of an app → its context. Raises ``CalledProcessError`` where the graph can't be built."""
    packages = sorted({name.partition(".")[0] for name in contexts})
    pairs = json.loads(_run([str(VENV / "bin" / "python"), "-c", GRIMP, json.dumps(packages)], root))
    found: Known = set()
    for importer, imported in pairs:
        source, target = _home(importer, contexts), _home(imported, contexts)
        if source and target and source != target:
            found.add((_file(root, importer), target))
    return found


def tach(root: Path, contexts: Mapping[str, str]) -> Known:
    lines = [
        'source_roots = ["."]',
        "exclude = []",
        'root_module = "ignore"',
        "[plugins.django]",
        'settings_module = "config.settings"',
    ]
    for module in sorted(contexts):
        lines += ["[[modules]]", f'path = "{module}"', "depends_on = []"]
    (root / "tach.toml").write_text("\n".join(lines) + "\n")
    found: Known = set()
    for one in json.loads(_run([str(VENV / "bin" / "tach"), "check", "--output", "json"], root) or "[]"):
        place = one.get("Located", {})
        crossing = place.get("details", {}).get("Code", {}).get("UndeclaredDependency")
        if crossing:
            found.add((place["file_path"], contexts.get(crossing["definition_module"], crossing["definition_module"])))
    return found


def seconds(run: object, root: Path, contexts: Mapping[str, str]) -> float:
    began = time.perf_counter()
    run(root, contexts)  # type: ignore[operator]
    return time.perf_counter() - began


def _run(command: list[str], root: Path) -> str:
    """tach ends with 1 where it found something."""
    done = subprocess.run(command, cwd=root, text=True, capture_output=True, timeout=PATIENCE_S, check=False)
    if done.returncode > 1 or (done.returncode and not done.stdout.strip()):
        raise subprocess.CalledProcessError(done.returncode, command[:3], done.stdout, done.stderr)
    return done.stdout


def _home(module: str, contexts: Mapping[str, str]) -> str:
    while module and module not in contexts:
        module = module.rpartition(".")[0]
    return contexts.get(module, "")


def _file(root: Path, module: str) -> str:
    path = module.replace(".", "/")
    return f"{path}/__init__.py" if (root / path).is_dir() else f"{path}.py"
