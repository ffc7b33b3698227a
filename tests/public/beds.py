"""Public Django projects that nobody here wrote, each in an environment of its own, with the product from this checkout.

``NAME/requirements.lock`` pins the project and all that it needs, by hash; ``NAME/project`` is what a team would write around it;
``NAME/expected.txt`` says what was read in its source by hand, in the form of ``tests.corpus_analysis.reading``;
``NAME/counts.json`` how many edges of each kind there are, so that a change of a detector shows.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks import peers
from tests.corpus_analysis.reading import Key, Labelled, read

HERE = Path(__file__).resolve().parent
PATIENCE_S = 240
KEPT = ("PATH", "HOME", "LANG", "TMPDIR", "SSL_CERT_FILE")


@dataclass(frozen=True)
class Said:
    """``seconds``: from start to end of the process."""

    code: int
    out: str
    err: str
    seconds: float


@dataclass(frozen=True)
class Bed:
    """``package``: as it is imported."""

    name: str
    package: str
    fixture: str = ""
    environment: tuple[tuple[str, str], ...] = ()

    @property
    def venv(self) -> Path:
        return peers.ROOT / "build" / "public" / self.name

    @property
    def source(self) -> Path:
        """The installed package."""
        return next(self.venv.glob(f"lib/python*/site-packages/{self.package}"))

    @property
    def counts(self) -> Path:
        return HERE / self.name / "counts.json"

    def expected(self) -> Labelled:
        return read(self.name, (HERE / self.name / "expected.txt").read_text(encoding="utf-8"))

    def unseen(self) -> frozenset[Key]:
        """What its source says and no detector of ours sees yet."""
        labels = self.expected().files.get("unseen", "")
        return read(self.name, f"--- labels ---\n{labels}").edges

    def laid(self, folder: Path) -> Path:
        """What a team would have, in a folder that is not there yet, and an environment to run it in."""
        peers.install(self.venv, HERE / self.name / "requirements.lock")
        shutil.copytree(HERE / self.name / "project", folder)
        product = folder.parent / "product"
        product.mkdir(exist_ok=True)
        if not (product / "strangler").exists():
            (product / "strangler").symlink_to(peers.ROOT / "strangler")
        return folder

    def analyze(self, folder: Path, *words: str, **environment: str) -> Said:
        return self.run(folder, "-m", "strangler.management.cli", "analyze", *words, **environment)

    def run(self, folder: Path, *words: str, **environment: str) -> Said:
        """Raises ``TimeoutExpired`` where it does not end."""
        own = {name: value.format(folder=folder) for name, value in self.environment}
        kept = {name: os.environ[name] for name in KEPT if name in os.environ}
        env = {**kept, **own, "PYTHONPATH": str(folder.parent / "product"), "PYTHONDONTWRITEBYTECODE": "1", **environment}
        argv = [str(self.venv / "bin" / "python"), *words]
        began = time.perf_counter()
        done = subprocess.run(argv, cwd=folder, env=env, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
        return Said(done.returncode, done.stdout, done.stderr, time.perf_counter() - began)


OSCAR = Bed("oscar", "oscar")
WAGTAIL = Bed("wagtail", "wagtail", "demosite")
PRETALX = Bed("pretalx", "pretalx", environment=(("PRETALX_DATA_DIR", "{folder}/data"),))
BEDS = {bed.name: bed for bed in (OSCAR, WAGTAIL, PRETALX)}
