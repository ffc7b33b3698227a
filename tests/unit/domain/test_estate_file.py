"""The estate file: what is right is read, what is wrong is named with key and fix."""

from __future__ import annotations

import datetime as dt
import tomllib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from strangler.domain.estate_file import parse
from strangler.domain.parity.rules import How
from strangler.domain.ratelimit import Limit

GOOD = """
[estate]
monolith = ["http://127.0.0.1:8001"]
health = "/up?deep=1"

[contexts.payments]
apps = ["shop.payments"]
routes = [{ prefix = "/api/payments" }, { path = "/pay/confirm", access = "write", methods = ["get"] }]
read_copies = ["orders.Order", "users.User(id, email)"]
service = { urls = ["http://127.0.0.1:8105"], sticky = "cookie", health = "/readyz" }
gates = { lag_p99_ms = 250, min_samples = 0, min_requests = 50, window = "30m" }
ramp = { steps = [5, 100], interval = "2m" }
outbox = { max_rows = 50_000, max_bytes = "200MB", max_age = "2h" }
"""


LIMITED = GOOD.replace('prefix = "/api/payments"', 'prefix = "/api/payments", limit = "100/m"')


def problems(text: str) -> list[str]:
    return [str(problem) for problem in parse(tomllib.loads(text))[1]]


def test_a_good_file_is_read_whole() -> None:
    estate, wrong = parse(tomllib.loads(GOOD))
    context = estate.contexts["payments"]
    assert wrong == []
    assert (estate.health, context.health) == ("/up?deep=1", "/readyz")
    assert context.routes[1].methods == ("GET",)
    assert context.read_copies[1].columns == ("id", "email")
    assert (context.gates.lag_p99_ms, context.gates.max_pause_ms) == (250, 500)
    assert (context.gates.min_samples, context.gates.min_requests) == (0, 50)
    assert (context.gates.window_s, context.gates.parity_window_s) == (1800, 86_400)
    assert (context.outbox.max_rows, context.outbox.max_bytes, context.outbox.max_age_s) == (50_000, 200_000_000, 7200)
    assert (context.ramp.steps, context.ramp.interval_s) == ((5, 100), 120)
    assert (context.mirror_stream, context.copies_stream, context.reverse_stream) == (
        "payments",
        "payments-copies",
        "payments-reverse",
    )


def test_the_projects_own_file_has_no_problem() -> None:
    text = (Path(__file__).parents[3] / "strangler.toml").read_text()
    assert problems(text) == []


def test_a_service_is_told_who_asks_unless_it_wants_not_to() -> None:
    assert parse(tomllib.loads(GOOD))[0].contexts["payments"].identity
    declined = GOOD.replace('sticky = "cookie"', "identity = false")
    assert not parse(tomllib.loads(declined))[0].contexts["payments"].identity


def test_changes_go_by_http_unless_it_says_celery() -> None:
    assert parse(tomllib.loads(GOOD))[0].contexts["payments"].transport == "http"
    mailed = GOOD.replace('sticky = "cookie"', 'transport = "celery"')
    assert parse(tomllib.loads(mailed))[0].contexts["payments"].transport == "celery"


def test_a_route_may_have_forgeries_looked_for_at_the_edge() -> None:
    text = GOOD.replace('prefix = "/api/payments"', 'prefix = "/api/payments", csrf = true')
    assert [route.csrf for route in parse(tomllib.loads(text))[0].contexts["payments"].routes] == [True, False]


@pytest.mark.parametrize(
    ("change", "key"),
    [
        (('apps = ["shop.payments"]', "apps = []"), "contexts.payments.apps: names no Django app"),
        (("steps = [5, 100]", "steps = [100, 5]"), "contexts.payments.ramp.steps"),
        (("max_rows = 50_000", "max_rows = 5"), "contexts.payments.outbox.max_rows"),
        (('max_bytes = "200MB"', 'max_bytes = "much"'), "contexts.payments.outbox.max_bytes"),
        (('max_age = "2h"', 'max_age = "long"'), "contexts.payments.outbox.max_age"),
        (('interval = "2m"', 'interval = "soon"'), "contexts.payments.ramp.interval"),
        (('prefix = "/api/payments"', 'prefix = "api"'), "contexts.payments.routes[0].prefix"),
        (('prefix = "/api/payments"', 'prefix = "/a", path = "/b"'), "contexts.payments.routes[0]"),
        (('access = "write"', 'access = "both"'), "contexts.payments.routes[1].access"),
        (('sticky = "cookie"', 'sticky = "pod"'), "contexts.payments.service.sticky"),
        (
            ('sticky = "cookie"', 'transport = "carrier pigeon"'),
            "contexts.payments.service.transport: is 'carrier pigeon' (strangler.E047)",
        ),
        (('sticky = "cookie"', 'transport = ["celery"]'), "contexts.payments.service.transport: is ['celery'] (strangler.E047)"),
        (('sticky = "cookie"', "identity = 1"), "contexts.payments.service.identity: is 1 (strangler.E019)"),
        (('access = "write"', 'csrf = "yes"'), "contexts.payments.routes[1].csrf"),
        (('health = "/readyz"', 'health = "readyz"'), "contexts.payments.service.health"),
        (('health = "/up?deep=1"', 'health = "/u p"'), "estate.health"),
        (("http://127.0.0.1:8105", "http://127.0.0.1:8105/api"), "contexts.payments.service.urls"),
        (("lag_p99_ms = 250", "lag_p99_ms = true"), "contexts.payments.gates.lag_p99_ms"),
        (("min_samples = 0", "min_samples = -1"), "contexts.payments.gates.min_samples: is -1, not a number from 0"),
        (("min_requests = 50", 'min_requests = "many"'), "contexts.payments.gates.min_requests: is 'many'"),
        (('window = "30m"', 'window = "soon"'), "contexts.payments.gates.window: 'soon' is not a duration"),
        (
            ('window = "30m"', 'parity_window = "3d"'),
            "contexts.payments.gates.parity_window: is '3d', out of reach (strangler.E080). Write parity_window =",
        ),
        (("gates = {", "gate = {"), "contexts.payments.gate: is not a known key"),
        (('"orders.Order"', '"Order"'), "contexts.payments.read_copies"),
        (
            ('apps = ["shop.payments"]', 'apps = ["shop.payments"]\ncontract = ["shop/api.py"]'),
            "contexts.payments.contract: 'shop/api.py'",
        ),
        (("[estate]", '[analysis]\npackages = "oscar"\n[estate]'), "analysis.packages: is 'oscar', not a list"),
        (("[estate]", "[analysis]\ntests = 1\n[estate]"), "analysis.tests: is 1 (strangler.E019)"),
        (("[estate]", '[analysis.loaders]\n"a.load" = 1\n[estate]'), "analysis.loaders.a.load: is 1 (strangler.E020)"),
        (("[estate]", '[analysis.loaders]\n"a.load" = "b-c"\n[estate]'), "analysis.loaders.a.load: is 'b-c' (strangler.E020)"),
        (("[estate]", '[analysis.loaders]\n"a b" = ""\n[estate]'), "analysis.loaders.a b: is '' (strangler.E020)"),
        (("[estate]", "[analysis]\npackage = []\n[estate]"), "analysis.package: is not a known key"),
        (("[estate]", '[contexts.project]\napps = ["a"]\n[estate]'), "contexts.project: is implicit and never moves"),
    ],
)
def test_a_wrong_key_is_named_with_its_fix(change: tuple[str, str], key: str) -> None:
    found = problems(GOOD.replace(*change))
    assert len(found) == 1
    assert found[0].startswith(key)


def test_the_analysis_is_told_what_is_the_projects_own_and_what_is_a_contexts_face() -> None:
    told = '[analysis]\npackages = ["oscar"]\ntests = true\n' + GOOD.replace(
        "routes =", 'contract = ["shop.payments.api"]\nroutes =', 1
    )
    estate, wrong = parse(tomllib.loads(told))
    assert (wrong, estate.packages, estate.tests) == ([], ("oscar",), True)
    assert estate.contexts["payments"].contract == ("shop.payments.api",)
    assert (parse(tomllib.loads(GOOD))[0].packages, parse(tomllib.loads(GOOD))[0].tests) == ((), False)


def test_the_analysis_is_told_which_functions_import_by_name() -> None:
    told = '[analysis.loaders]\n"shop.loading.get_class" = "shop.apps"\n"shop.loading.by_path" = ""\n'
    estate, wrong = parse(tomllib.loads(told + GOOD))
    assert (wrong, estate.loaders) == ([], {"shop.loading.get_class": "shop.apps", "shop.loading.by_path": ""})


def test_a_route_may_have_a_limit() -> None:
    def limit(more: str) -> Limit | None:
        estate, wrong = parse(tomllib.loads(LIMITED.replace('limit = "100/m"', f'limit = "100/m"{more}')))
        assert wrong == []
        return estate.contexts["payments"].routes[0].limit

    assert limit("") == Limit(100, 60, 100, "user", False)
    assert limit(', limit_by = "address", limit_burst = 20, limit_shared = true') == Limit(100, 60, 20, "address", True)
    assert parse(tomllib.loads(GOOD))[0].contexts["payments"].routes[0].limit is None


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ('limit = "100"', "limit: '100' is not a rate such as 10/s"),
        ("limit = 100", "limit: '100' is not a rate"),
        ('limit_by = "user"', "limit_by: stands without a limit"),
        ('limit = "1/s", limit_by = "moon"', "limit_by: is 'moon' (strangler.E042). It is one of user, address."),
        ('limit = "1/s", limit_by = ["user"]', "limit_by: is ['user']"),
        ('limit = "1/s", limit_burst = 0', "limit_burst: is 0"),
        ('limit = "1/s", limit_burst = true', "limit_burst: is True"),
        ('limit = "1/s", limit_shared = "yes"', "limit_shared: is 'yes'"),
    ],
)
def test_a_wrong_limit_is_named_with_its_fix(wrong: str, said: str) -> None:
    found = problems(LIMITED.replace('limit = "100/m"', wrong))
    assert len(found) == 1
    assert found[0].startswith(f"contexts.payments.routes[0].{said}")


RULE = """
[[contexts.payments.parity]]
endpoint = "GET /api/payments/*"
field = "body $.at"
how = "ignore"
reason = "the service stamps it anew"
author = "ada"
expires = 2027-03-31
"""


def test_a_rule_of_comparison_holds_to_the_end_of_its_last_day() -> None:
    estate, wrong = parse(tomllib.loads(GOOD + RULE))
    assert wrong == []
    (rule,) = estate.contexts["payments"].parity
    assert (rule.field, rule.how, rule.author) == ("body $.at", How.IGNORE, "ada")
    assert rule.expires == dt.datetime(2027, 3, 31, 23, 59, 59, 999999, dt.UTC)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (('how = "ignore"', 'how = "guess"'), "[0].how: is 'guess' (strangler.E072)"),
        (('how = "ignore"', 'how = ["ignore"]'), "[0].how: is ['ignore'] (strangler.E072)"),
        (('author = "ada"', ""), "[0].author: is missing (strangler.E071)"),
        (('reason = "the service stamps it anew"', "reason = 3"), "[0].reason: is 3 (strangler.E071)"),
        (("2027-03-31", '"soon"'), "[0].expires: is 'soon', not a date (strangler.E073)"),
        (("2027-03-31", "2027-03-31T00:00:00"), "[0].expires: is datetime"),
        (('author = "ada"', 'author = "ada"\nwho = "eve"'), "[0].who: is not a known key"),
    ],
)
def test_a_rule_of_comparison_that_is_wrong_is_named_and_does_not_hold(change: tuple[str, str], said: str) -> None:
    estate, wrong = parse(tomllib.loads(GOOD + RULE.replace(*change)))
    (problem,) = map(str, wrong)
    assert problem.startswith(f"contexts.payments.parity{said}")
    assert len(estate.contexts["payments"].parity) == ("known" in problem)


def test_an_app_has_one_context_and_platform_is_implicit() -> None:
    text = '[contexts.a]\napps = ["x"]\n[contexts.platform]\napps = ["x"]\n'
    found = "\n".join(problems(text))
    assert "belongs to a too" in found
    assert "contexts.platform: is implicit" in found


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)
KNOWN = ["apps", "routes", "service", "ramp", "gates", "shadow", "receivers", "read_copies", "also_written_by"]
KNOWN += ["outbox", "parity"]


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)  # a busy machine is no fault of the file's
@given(st.dictionaries(st.sampled_from(KNOWN), json_like))
def test_a_wrong_file_never_raises(context: dict) -> None:
    parse({"contexts": {"c": context}})
