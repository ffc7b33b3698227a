"""A labelled project in one text file, and the folder that is made of it.

    What it is about, in free text.
    apps: shop.orders shop.payments
    database: postgres

    --- shop/orders/models.py ---
    …
    --- labels ---
    import  payments > orders  shop/payments/views.py:*  shop.orders.models
    not import  shop/payments/forms.py:*  a comment names the module, no code does

Each label is one edge of the ledger: kind, source > target, where, what. ``not`` is a look-alike: kind, where, why it is none.
``apps`` go to INSTALLED_APPS behind Django's own. ``config/settings.py`` is added to the usual settings, and every folder with
Python in it becomes a package. ``base: NAME``: the files and labels of that project come first. ``database``: "none" (in memory,
without tables), "sqlite" or "postgres", with all migrations applied.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from strangler.domain.coupling.edges import Kind

PROJECTS = Path(__file__).resolve().parent / "projects"
SECTION = re.compile(r"^--- (\S+) ---\n", re.M)
HEADER = re.compile(r"^(apps|database|base): (.+)\n", re.M)
LABEL = re.compile(r"(?P<kind>\w+)\s+(?P<source>\w+) > (?P<target>\w+)\s+(?P<where>\S+)\s+(?P<what>\S.*)")
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

    @property
    def scenario(self) -> bool:
        return "scenario.py" in self.files

    def write(self, root: Path) -> None:
        for path, text in self._files():
            target = root / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8", newline="")

    def _files(self) -> Iterator[tuple[str, str]]:
        packages = {parent.as_posix() for path in self.files if path.endswith(".py") for parent in Path(path).parents}
        for package in sorted({*packages, "config"} - {"."}):
            yield f"{package}/__init__.py", ""
        yield "config/urls.py", "urlpatterns = []\n"
        yield "strangler.toml", '[estate]\nmonolith = ["http://127.0.0.1:8001"]\n'
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
    edges, look_alikes = _labels(name, files.pop("labels", ""))
    about, apps, database = HEADER.sub("", head).strip(), said.get("apps", "").split(), said.get("database", "none")
    if "base" not in said:
        return Labelled(name, about, tuple(apps), database, files, edges, look_alikes)
    base = read(said["base"], (PROJECTS / f"{said['base']}.txt").read_text(encoding="utf-8"))
    return Labelled(
        name, about, (*base.apps, *apps), database, base.files | files, edges - base.edges, look_alikes, base.edges | base.known
    )


def _labels(name: str, text: str) -> tuple[frozenset[Key], tuple[LookAlike, ...]]:
    edges: list[Key] = []
    look_alikes: list[LookAlike] = []
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        label, other = LABEL.fullmatch(line.strip()), LOOK_ALIKE.fullmatch(line.strip())
        if not (label or other):
            raise Misread(f"{name}: no label: {line}")
        if (label or other)["kind"] not in set(Kind):  # type: ignore[index]
            raise Misread(f"{name}: no kind: {line}")
        if label:
            edges.append((label["kind"], label["source"], label["target"], label["where"], label["what"]))
        elif other:
            look_alikes.append(LookAlike(**other.groupdict()))
    twice = {edge for edge in edges if edges.count(edge) > 1}
    if twice:
        raise Misread(f"{name}: labelled twice: {sorted(twice)}")
    return frozenset(edges), tuple(look_alikes)
