from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from strangler_proxy.metrics import Metrics, render


def test_the_text_is_what_prometheus_reads() -> None:
    workers = []
    for number in range(2):
        metrics = Metrics()
        metrics.gauge("clients", "Open connections.", (), lambda: {(): 3.0})
        metrics.served("payments", "service", "canary", "read").add(200, 0.003)
        metrics.served("payments", "service", "canary", "read").add(201, 99.0)
        metrics.served("payments", "service", "live", "read").add(201, 99.0)
        metrics.served('odd"\\\n', "-", "-", "-").add(503, 0.1)
        workers.append(metrics.samples(str(number)))
    families = {family.name: family for family in text_string_to_metric_families(render(metrics.families(), workers))}
    requests = families["strangler_proxy_requests"].samples
    assert sum(sample.value for sample in requests) == 8
    assert {sample.labels["worker"] for sample in requests} == {"0", "1"}
    assert 'odd"\\\n' in {sample.labels["context"] for sample in requests}
    of_one = {"worker": "0", "context": "payments", "side": "service", "stage": "canary"}
    buckets = [each for each in families["strangler_proxy_request_seconds"].samples if of_one.items() <= each.labels.items()]
    by_bound = {sample.labels["le"]: sample.value for sample in buckets if sample.name.endswith("_bucket")}
    assert (by_bound["0.0025"], by_bound["0.005"], by_bound["30.0"], by_bound["+Inf"]) == (0, 1, 1, 2)
    assert families["strangler_proxy_clients"].samples[0].value == 3


def test_what_was_never_counted_is_not_listed() -> None:
    assert "shadow" not in render(Metrics().families(), [Metrics().samples("0")])
