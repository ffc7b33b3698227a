"""A labelled project in one text file, and the folder that is made of it.

    What it is about, in free text.
    apps: shop.orders shop.payments
    database: postgres

    --- shop/orders/models.py ---
    …
    --- labels ---
    import  payments > orders  shop/payments/views.py:*  shop.orders.models
    not import  shop/payments/forms.py:*  a comment names the module, no code does
    skipped  shop/payments/python2.py

Each label is one edge of the ledger: kind, source > target, where, what. ``not`` is a look-alike: kind, where, why it is none.
``skipped`` is what can't be read, and has to be named.
What is below ``beside/`` lies outside of the project, as what is installed does: ``beside/scenario.py`` has a ``prepare()`` that
fills the tables, and may have a ``run()`` that is recorded.
``apps`` go to INSTALLED_APPS behind Django's own. ``config/settings.py`` is added to the usual settings, and every folder with
Python in it becomes a package. ``base: NAME``: the files and labels of that project come first. ``database``: "none" (in memory,
without tables), "sqlite" or "postgres", with all migrations applied.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from strangler.domain.coupling.edges import Kind

PROJECTS = Path(__file__).resolve().parent / "projects"
SECTION = re.compile(r"^--- (\S+) ---\n", re.M)
HEADER = re.compile(r"^(apps|database|base): (.+)\n", re.M)
LABEL = re.compile(r"(?P<kind>\w+)\s+(?P<source>\w+) > (?P<target>\w+)\s+(?P<where>\S+)\s+(?P<what>\S.*)")
SKIPPED = re.compile(r"skipped\s+(?P<where>\S+)")
LOOK_ALIKE = re.compile(r"not (?P<kind>\w+)\s+(?P<where>\S+)\s+(?P<why>\S.*)")
Key = tuple[str, str, str, str, str]

SETTINGS = """\
import os
from pathlib import Path
import environ

BASE_DIR = Path(__file__).resolve().parent.parent
SECRET_KEY = "for-the-corpus-only"
ALLOWED_HOSTS = ["*"]
USE_TZ = True
ROOT_URLCONF = "config.urls"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = [
    "django.contrib.admin", "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions",
    "django.contrib.messages",
] + {apps!r}
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware", "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [{{
    "BACKEND": "django.template.backends.django.DjangoTemplates", "DIRS": [BASE_DIR / "templates"], "APP_DIRS": True,
    "OPTIONS": {{"context_processors": [
        "django.template.context_processors.request", "django.contrib.auth.context_processors.auth",
        "django.contrib.messages.context_processors.messages",
    ]}},
}}]
DATABASES = {{"default": environ.Env.db_url_config(os.environ.get("DATABASE_URL", "sqlite://:memory:"))}}
STRANGLER = {{"ESTATE": str(BASE_DIR / "strangler.toml"), "USAGE": False}}
"""
ESTATE = """\
[estate]
monolith = ["http://127.0.0.1:8001"]

[analysis]
tests = true
"""


class Misread(Exception):
    """The file is not as ``reading`` says: which, where, and what is wrong."""


@dataclass(frozen=True)
class LookAlike:
    kind: str
    where: str
    why: str


@dataclass(frozen=True)
class Labelled:
    """``files``: path → text. ``edges``: all that there are, but for those of its base, ``known``. ``database``: see above."""

    name: str
    about: str
    apps: tuple[str, ...]
    database: str
    files: dict[str, str]
    edges: frozenset[Key]
    look_alikes: tuple[LookAlike, ...] = ()
    known: frozenset[Key] = frozenset()
    skipped: frozenset[str] = frozenset()

    @property
    def scenario(self) -> bool:
        return "beside/scenario.py" in self.files

    def write(self, root: Path) -> None:
        """What is ``beside`` goes to the folder of that name that ``root`` lies in."""
        for path, text in self._files():
            target = root.parent / path if path.startswith("beside/") else root / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8", newline="")

    def _files(self) -> Iterator[tuple[str, str]]:
        packages = {parent.as_posix() for path in self.files if path.endswith(".py") for parent in Path(path).parents}
        packages -= {"beside"}
        for package in sorted({*packages, "config"} - {"."}):
            yield f"{package}/__init__.py", ""
        yield "config/urls.py", "urlpatterns = []\n"
        yield "strangler.toml", ESTATE
        yield from self.files.items()
        yield "config/settings.py", SETTINGS.format(apps=list(self.apps)) + self.files.get("config/settings.py", "")


def projects(names: tuple[str, ...] = ()) -> list[Labelled]:
    """All, or those named, in the order of their names."""
    return [
        read(path.stem, path.read_text(encoding="utf-8"))
        for path in sorted(PROJECTS.glob("*.txt"))
        if not names or path.stem in names
    ]


def read(name: str, text: str) -> Labelled:
    head, *rest = SECTION.split(text)
    files = {path: body.rstrip("\n") + "\n" for path, body in zip(rest[::2], rest[1::2], strict=True)}
    if len(files) != len(rest) // 2:
        raise Misread(f"{name}: a section stands twice")
    said = dict(HEADER.findall(head))
    own = _labelled(Labelled(name, HEADER.sub("", head).strip(), tuple(said.get("apps", "").split()), "", files, frozenset()))
    if "base" not in said:
        return replace(own, database=said.get("database", "none"))
    base = read(said["base"], (PROJECTS / f"{said['base']}.txt").read_text(encoding="utf-8"))
    return replace(
        own,
        apps=(*base.apps, *own.apps),
        database=said.get("database", base.database),
        files=base.files | own.files,
        edges=own.edges - base.edges,
        known=base.edges | base.known,
    )


def _labelled(project: Labelled) -> Labelled:
    edges: list[Key] = []
    look_alikes: list[LookAlike] = []
    skipped: set[str] = set()
    for line in project.files.pop("labels", "").splitlines():
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        if found := LOOK_ALIKE.fullmatch(line):
            look_alikes.append(LookAlike(**found.groupdict()))
        elif found := LABEL.fullmatch(line):
            edges.append((found["kind"], found["source"], found["target"], found["where"], found["what"]))
        elif found := SKIPPED.fullmatch(line):
            skipped.add(found["where"])
            continue
        if not found or found["kind"] not in set(Kind):
            raise Misread(f"{project.name}: no label: {line}")
    twice = sorted({edge for edge in edges if edges.count(edge) > 1})
    if twice:
        raise Misread(f"{project.name}: labelled twice: {twice}")
    return replace(project, edges=frozenset(edges), look_alikes=tuple(look_alikes), skipped=frozenset(skipped))
