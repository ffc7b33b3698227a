"""A big Django code base from a seed: apps with models that know each other's, services, views, serializers, admin, tasks, tests,
templates. No module is another's copy: names, fields, lookups, comments and the order of things differ, and a few of them in a
hundred cross to another app. The same seed, lines and models give the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.corpus_analysis.reading import Labelled

_NOUNS = (
    "order line account invoice payment refund parcel carrier region shelf product variant price voucher coupon campaign ticket "
    "memo thread address contact lead quote contract policy claim device sensor reading meter tariff booking room guest visit "
    "course lesson exam grade badge team project task sprint board card note tag file folder share review rating answer"
)
_ADJECTIVES = "open late paid new old local main spare draft final daily yearly partial public hidden frozen active stale"
_VERBS = "settle check close count merge split notify refresh archive restore export import assign publish cancel approve"
_WORDS = (
    "the a of for each when because before after only rows that were not yet seen by their owner so we keep them until night "
    "and then compare with what was agreed which may differ if somebody changed it by hand in the meantime as it happens"
)
NOUNS, ADJECTIVES, VERBS, WORDS = (text.split() for text in (_NOUNS, _ADJECTIVES, _VERBS, _WORDS))
COLUMNS = ("name", "status", "number", "total", "created", "note")
LINES_A_MODULE = 350
MODELS_AN_APP = 5


@dataclass(frozen=True)
class Model:
    app: str
    name: str
    to: tuple[str, ...]  # own models by their attribute, then others'


def write(root: Path, lines: int, models: int = 200, seed: int = 7) -> int:
    """Gives how many lines of Python there are; at least ``lines``."""
    code = Random(seed)
    apps = [f"shop.{NOUNS[index % len(NOUNS)]}s{index // len(NOUNS) or ''}" for index in range(max(models // MODELS_AN_APP, 2))]
    made = _models(code, apps, models)
    Labelled("codebase", "", tuple(apps), "none", {"shop/__init__.py": "", "config/urls.py": _urls(apps)}, frozenset()).write(
        root
    )
    written = 0
    for app in apps:
        for path, text in _app(code, app, made, lines // len(apps)):
            target = root / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
            written += text.count("\n") if path.endswith(".py") else 0
    return written


def _urls(apps: list[str]) -> str:
    listed = "\n".join(f'    path("{app[5:]}/", include("{app}.urls")),' for app in apps)
    return f"from django.urls import include, path\n\nurlpatterns = [\n{listed}\n]\n"


def _models(code: Random, apps: list[str], count: int) -> list[Model]:
    made: list[Model] = []
    for index in range(count):
        app = apps[index * len(apps) // count]
        name = f"{code.choice(ADJECTIVES).title()}{code.choice(NOUNS).title()}{index}"
        own = [each for each in made if each.app == app]
        picked = code.sample(own, min(len(own), 1)) + code.sample(made, min(len(made), 2 if index % 3 else 0))
        made.append(Model(app, name, tuple(dict.fromkeys(f"{each.app[5:]}.{each.name}" for each in picked))))
    return made


def _app(code: Random, app: str, made: list[Model], lines: int) -> Iterator[tuple[str, str]]:
    folder, own = app.replace(".", "/"), [model for model in made if model.app == app]
    yield f"{folder}/__init__.py", ""
    yield f"{folder}/models.py", _file(code, app, ["from django.db import models"], [_model(code, model) for model in own])
    yield (
        f"{folder}/admin.py",
        _file(code, app, ["from django.contrib import admin", _own(app, own)], [_admin(code, m) for m in own]),
    )
    yield f"{folder}/urls.py", _app_urls(app)
    yield f"{folder}/views.py", "def index(request):\n    return None\n"
    for number in range(3):
        yield f"{folder}/templates/{app[5:]}/page{number}.html", _template(code, own)
    yield f"{folder}/tests/__init__.py", ""
    yield f"{folder}/parts/__init__.py", ""
    done, number = 0, 0
    while done < lines:
        name, kind = KINDS[number % len(KINDS)]
        text = _module(code, app, own, made, kind, name == "tests")
        done += text.count("\n")
        part = f"tests/test_part{number}" if name == "tests" else f"parts/{name}{number}"
        yield f"{folder}/{part}.py", text
        number += 1


def _own(app: str, own: list[Model]) -> str:
    return f"from {app}.models import {', '.join(sorted(model.name for model in own))}"


def _app_urls(app: str) -> str:
    label = app[5:]
    return (
        f'from django.urls import path\n\nfrom {app} import views\n\napp_name = "{label}"\n'
        'urlpatterns = [path("", views.index, name="index")]\n'
    )


def _file(code: Random, app: str, imports: list[str], parts: list[str]) -> str:
    return "\n\n\n".join([f'"""{_prose(code, 12)}"""\n\n' + "\n".join(imports), *parts]) + "\n"


def _prose(code: Random, words: int) -> str:
    return " ".join(code.choices(WORDS, k=words)).capitalize() + "."


def _model(code: Random, model: Model) -> str:
    fields = [
        f'    {label.rpartition(".")[2].lower()} = models.ForeignKey("{label}", models.CASCADE, related_name="+")'
        for label in model.to
    ]
    plain = [
        "    name = models.CharField(max_length=80)",
        f"    status = models.CharField(max_length=20, default={code.choice(ADJECTIVES)!r})",
        "    number = models.IntegerField(default=0)",
        "    total = models.DecimalField(max_digits=9, decimal_places=2, default=0)",
        "    created = models.DateTimeField(auto_now_add=True)",
        f"    note = models.TextField(blank=True)  # {_prose(code, 8)}",
    ]
    code.shuffle(plain)
    body = "\n".join([f'    """{_prose(code, 14)}"""', "", *fields, *plain])
    return f"class {model.name}(models.Model):\n{body}\n\n    def __str__(self):\n        return self.{code.choice(COLUMNS[:2])}"


def _admin(code: Random, model: Model) -> str:
    paths = [f"{label.rpartition('.')[2].lower()}__name" for label in model.to]
    return (
        f"@admin.register({model.name})\nclass {model.name}Admin(admin.ModelAdmin):\n"
        f"    list_display = {code.sample(COLUMNS, 3)!r}\n    search_fields = {['name', *paths]!r}"
    )


def _template(code: Random, own: list[Model]) -> str:
    rows = [f"<p>{{{{ {model.name.lower()}.{code.choice(COLUMNS)} }}}} {_prose(code, 9)}</p>" for model in own for _ in range(8)]
    return "{% load i18n %}\n" + "\n".join(rows) + "\n"


def _module(code: Random, app: str, own: list[Model], made: list[Model], kind: Callable[..., str], tests: bool) -> str:
    parts: list[str] = []
    lines = 0
    while lines < LINES_A_MODULE * code.uniform(0.5, 1.5):
        text = (
            kind(code, code.choice(own), len(parts))
            if code.random() < 0.6
            else code.choice(PLAIN)(code, code.choice(own), len(parts))
        )
        text = text.replace("def ", "def test_", 1) if tests and text.startswith("def ") else text
        parts.append(text)
        lines += text.count("\n") + 3
    others = [model for model in code.sample(made, 2) if model.app != app and code.random() < 0.3]
    parts += [f"OTHERS = [{', '.join(model.name for model in others)}]"] if others else []
    body = "\n".join(parts)
    used = [line for name, line in IMPORTS.items() if name in body]
    known = sorted(f"from {model.app}.models import {model.name}" for model in others)
    return _file(code, app, [*used, _own(app, own), *known, "\nlogger = logging.getLogger(__name__)"], parts)


def _function(code: Random, model: Model, number: int) -> str:
    verb, noun, one = code.choice(VERBS), code.choice(NOUNS), code.choice(COLUMNS)
    path = f"{code.choice(model.to).rpartition('.')[2].lower()}__{one}" if model.to and code.random() < 0.1 else one
    return f'''def {verb}_{noun}_{number}({noun}, days={code.randrange(90)}):
    """{_prose(code, 18)}"""
    since = timezone.now() - timedelta(days=days)
    rows = {model.name}.objects.filter({path}={noun}, created__gte=since).exclude(status="{code.choice(ADJECTIVES)}")
    if not rows.exists():
        logger.info("{verb}.nothing since=%s", since)
        return None
    # {_prose(code, 11)}
    total = 0
    for row in rows.order_by("-{code.choice(COLUMNS)}")[:{code.randrange(10, 999)}]:
        if row.number > {code.randrange(50)} and row.status != "{code.choice(ADJECTIVES)}":
            total += row.total * {code.randrange(2, 9)}
        else:
            total -= row.number
    return {{"{noun}": total, "since": since, "count": len(rows)}}'''


def _service(code: Random, model: Model, number: int) -> str:
    verb, noun = code.choice(VERBS), code.choice(NOUNS)
    return f'''@transaction.atomic
def {verb}_{noun}_{number}(pk, *, by, {code.choice(NOUNS)}_limit={code.randrange(100)}):
    row = {model.name}.objects.select_for_update().get(pk=pk)
    if row.status == "{code.choice(ADJECTIVES)}":
        raise ValueError(f"{verb} of {{row.pk}} was refused: {_prose(code, 6)}")
    row.status = "{code.choice(ADJECTIVES)}"
    row.number = F("number") + {code.randrange(1, 9)}
    row.save(update_fields=["status", "number"])
    {model.name}.objects.filter(Q(name=by) | Q(total__gt={code.randrange(99)})).update(note="{_prose(code, 5)}")
    return row'''


def _report(code: Random, model: Model, number: int) -> str:
    table = f"{model.app[5:]}_{model.name.lower()}"
    return f'''def {code.choice(ADJECTIVES)}_report_{number}(status):
    """{_prose(code, 16)}

    {_prose(code, 20)}
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT status, count(*), sum(total) FROM {table} "
            "WHERE number > {code.randrange(99)} AND status = %s GROUP BY status",
            [status],
        )
        rows = cursor.fetchall()
    found = {model.name}.objects.values("{code.choice(COLUMNS)}").annotate(n=Count("pk"), total=Sum("total"))
    return [dict(row, rows=len(rows)) for row in found if row["n"] > {code.randrange(9)}]'''


def _task(code: Random, model: Model, number: int) -> str:
    verb, noun = code.choice(VERBS), code.choice(NOUNS)
    return f'''@shared_task(name="{model.app}.{verb}_{noun}_{code.randrange(10**9)}")
def {verb}_{noun}_task_{number}(pk):
    row = {model.name}.objects.filter(pk=pk).first()
    if row is None:
        logger.warning("{noun}.gone pk=%s", pk)
        return
    for attempt in range({code.randrange(2, 7)}):
        try:
            row.refresh_from_db()
        except {model.name}.DoesNotExist:
            break
        row.note += f"{_prose(code, 4)} {{attempt}}"
    row.save()'''


def _view(code: Random, model: Model, number: int) -> str:
    noun = code.choice(NOUNS)
    return f'''def {noun}_view_{number}(request, pk):
    row = {model.name}.objects.filter(pk=pk).first()
    if request.method == "POST" and row is not None:
        row.name = request.POST.get("name", "{code.choice(ADJECTIVES)}")
        row.save()
    there = reverse("{model.app[5:]}:index")
    return JsonResponse({{"name": getattr(row, "name", None), "next": there, "n": {code.randrange(99)}}})'''


def _serializer(code: Random, model: Model, number: int) -> str:
    noun = code.choice(NOUNS).title()
    return f'''class {noun}{number}Serializer(serializers.ModelSerializer):
    """{_prose(code, 10)}"""

    label = serializers.CharField(source="{code.choice(COLUMNS)}", read_only=True)

    class Meta:
        model = {model.name}
        fields = {["id", "label", *code.sample(COLUMNS, 3)]!r}

    def validate_name(self, value):
        if len(value) < {code.randrange(9)}:
            raise serializers.ValidationError("{_prose(code, 5)}")
        return value


class {noun}{number}ViewSet(viewsets.ModelViewSet):
    queryset = {model.name}.objects.all()
    serializer_class = {noun}{number}Serializer
    search_fields = {code.sample(COLUMNS, 2)!r}

    def get_queryset(self):
        return super().get_queryset().filter(status="{code.choice(ADJECTIVES)}").order_by("{code.choice(COLUMNS)}")'''


def _arithmetic(code: Random, model: Model, number: int) -> str:
    noun = code.choice(NOUNS)
    steps = "\n".join(
        f"    {code.choice('abcd')} {code.choice(['+=', '-=', '*='])} values.get({code.choice(NOUNS)!r}, {code.randrange(99)})  "
        f"# {_prose(code, 5)}"
        for _ in range(code.randrange(4, 14))
    )
    return f'''def {noun}_share_{number}(values):
    """{_prose(code, 13)}"""
    a, b, c, d = {code.randrange(9)}, {code.randrange(9)}, {code.randrange(9)}, {code.randrange(9)}
{steps}
    return [each for each in (a, b, c, d) if each > {code.randrange(9)}]'''


def _test(code: Random, model: Model, number: int) -> str:
    return f'''def {code.choice(VERBS)}_{code.choice(NOUNS)}_{number}(db):
    row = {model.name}(name="{code.choice(NOUNS)}", number={code.randrange(99)})
    assert row.number < {code.randrange(100, 999)}
    assert str(row) in ("{code.choice(NOUNS)}", row.name, row.status), "{_prose(code, 6)}"
    assert {model.name}.objects.filter(name=row.name).count() == 0'''


IMPORTS = {  # by what a module's body has of it: nobody imports what he does not use
    "": "from __future__ import annotations\n\nimport logging",
    "timedelta(": "from datetime import timedelta",
    "shared_task(": "from celery import shared_task",
    "connection.": "from django.db import connection",
    "transaction.": "from django.db import transaction",
    "F(": "from django.db.models import F",
    "Q(": "from django.db.models import Q",
    "Count(": "from django.db.models import Count, Sum",
    "JsonResponse(": "from django.http import JsonResponse",
    "reverse(": "from django.urls import reverse",
    "timezone.": "from django.utils import timezone",
    "serializers.": "from rest_framework import serializers, viewsets",
}
PLAIN = (_function, _arithmetic)
KINDS: tuple[tuple[str, Callable[[Random, Model, int], str]], ...] = (
    ("services", _service), ("selectors", _function), ("views", _view), ("serializers", _serializer), ("tests", _test),
    ("tasks", _task), ("reports", _report), ("tests", _test), ("figures", _arithmetic), ("tests", _test),
)  # fmt: skip
