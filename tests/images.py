"""Builds an image without a container engine: a Dockerfile's steps in a directory of its own that stands for ``/``.

Paths of ``RUN`` must be relative to ``WORKDIR``; the base image's part is played by this machine's Python. What is checked so:
every source of a ``COPY`` is in the build context and not kept out by ``.dockerignore``, every command ends with 0, and what
lies in the image is enough to run.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pathspec

KEPT = re.compile(r"(PIP_|SSL_|REQUESTS_CA|HTTPS?_PROXY|NO_PROXY|https?_proxy|no_proxy|HOME$|LANG$)")


class DockerfileError(Exception):
    """A Dockerfile that Docker would refuse, or that this reader doesn't know how to build."""


@dataclass
class Image:
    """A stage: ``root`` stands for ``/``. ``user`` is what USER said last."""

    root: Path
    workdir: str = "/"
    user: str = "0:0"
    exposed: list[int] = field(default_factory=list)
    env: dict[str, str] = field(default_factory=dict)

    def path(self, inside: str) -> Path:
        """Where a path of the image lies on this machine."""
        return self.root / os.path.join(self.workdir, inside).lstrip("/")

    @property
    def python(self) -> Path:
        """The first Python of the image's PATH."""
        return next(path for path in (Path(entry) / "python" for entry in self.search()) if path.exists())

    def search(self) -> list[str]:
        """PATH, with the image's own directories where they lie here."""
        own = [entry for entry in self.env.get("PATH", "").split(":") if entry.startswith("/srv/")]
        return [*(str(self.path(entry)) for entry in own), str(self.root / "base"), os.defpath]


def steps(text: str) -> Iterator[tuple[str, str]]:
    """(instruction, the rest) in order; lines that go on are joined."""
    joined = re.sub(r"\\\n", " ", "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#")))
    for line in filter(str.strip, joined.splitlines()):
        name, _, rest = line.strip().partition(" ")
        yield name.upper(), rest.strip()


class Builder:
    """Builds Dockerfiles from ``context`` below ``into``; stages with the same steps are built once, as layers are."""

    def __init__(self, context: Path, into: Path) -> None:
        self.context, self.into = context, into
        ignored = pathspec.GitIgnoreSpec.from_lines((context / ".dockerignore").read_text().splitlines())
        tracked = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=context, capture_output=True, check=True)
        self.files = [Path(name) for name in tracked.stdout.decode().splitlines() if not ignored.match_file(name)]
        self._built: dict[tuple[tuple[str, str], ...], Image] = {}

    def build(self, dockerfile: Path) -> Image:
        """Gives the last stage. Raises ``DockerfileError``."""
        arguments: dict[str, str] = {}
        stages: list[tuple[str, list[tuple[str, str]]]] = []
        for name, rest in steps(dockerfile.read_text()):
            if name == "ARG" and not stages:
                arguments.update([rest.split("=", 1)])
            elif name == "FROM":
                base, _, alias = rest.partition(" AS ")
                base = re.sub(r"\$\{(\w+)\}", lambda found: arguments[found[1]], base)
                if not re.fullmatch(r"python:3\.\d+-slim", base):
                    raise DockerfileError(f"{base} is no base image that is stood in for here")
                stages.append((alias, []))
            else:
                stages[-1][1].append((name, rest))
        done: dict[str, Image] = {}
        for alias, lines in stages:
            done[alias] = self._stage(tuple(lines), done)
        return done[stages[-1][0]]

    def _stage(self, lines: tuple[tuple[str, str], ...], earlier: dict[str, Image]) -> Image:
        if lines not in self._built:
            image = Image(self.into / f"stage-{len(self._built)}")
            (image.root / "base").mkdir(parents=True)
            (image.root / "base" / "python").symlink_to(getattr(sys, "_base_executable", sys.executable))
            for name, rest in lines:
                self._step(image, name, rest, earlier)
            self._built[lines] = image
        return self._built[lines]

    def _step(self, image: Image, name: str, rest: str, earlier: dict[str, Image]) -> None:
        if name == "WORKDIR":
            image.workdir = os.path.join(image.workdir, rest)
            image.path(".").mkdir(parents=True, exist_ok=True)
        elif name == "ENV":
            pairs = (word.split("=", 1) for word in shlex.split(rest))
            image.env.update({key: value.replace("$PATH", image.env.get("PATH", "/bin")) for key, value in pairs})
        elif name == "COPY":
            self._copy(image, shlex.split(rest), earlier)
        elif name == "RUN":
            self._run(image, rest)
        elif name == "USER":
            image.user = rest
        elif name == "EXPOSE":
            image.exposed += map(int, rest.split())
        else:
            raise DockerfileError(f"nobody here knows how to do {name}")

    def _copy(self, image: Image, words: list[str], earlier: dict[str, Image]) -> None:
        options = dict(word[2:].split("=", 1) for word in words if word.startswith("--"))
        *sources, target = (word for word in words if not word.startswith("--"))
        for source in sources:
            into = image.path(target)
            if "from" in options:
                found = earlier[options["from"]].path(source)
                shutil.copytree(found, into, symlinks=True)
            else:
                self._copy_from_context(source, into, is_directory=target.endswith("/"))
            if "chown" in options and os.geteuid() == 0:
                uid, gid = map(int, options["chown"].split(":"))
                for path in (into, *into.rglob("*")):
                    os.chown(path, uid, gid)

    def _copy_from_context(self, source: str, into: Path, *, is_directory: bool) -> None:
        found = [file for file in self.files if file == Path(source) or Path(source) in file.parents]
        if not found:
            raise DockerfileError(f"COPY {source}: not in the build context, or kept out by .dockerignore")
        for file in found:
            end = (into / file.name if is_directory else into) if file == Path(source) else into / file.relative_to(source)
            end.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self.context / file, end)

    def _run(self, image: Image, command: str) -> None:
        kept = {name: value for name, value in os.environ.items() if KEPT.match(name)}
        env = {**kept, **image.env, "PATH": ":".join(image.search())}
        done = subprocess.run(["sh", "-ec", command], cwd=image.path("."), env=env, capture_output=True, text=True, check=False)
        if done.returncode:
            raise DockerfileError(f"RUN {command} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
