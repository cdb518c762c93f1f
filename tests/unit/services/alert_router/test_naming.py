"""Which service an alert is about, by the built-in conventions and by others."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.alert_router.adapters.conventions_file import ConventionsInvalid, load_conventions
from services.alert_router.domain.naming import Naming, workload_of

BUILT_IN = load_conventions().naming


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"service": "cart", "job": "x"}, "cart"),
        ({"service": "", "job": "shop/cart"}, "cart"),
        ({"job": "cart/"}, "cart/"),
        ({"service.name": "shop/cart"}, "shop/cart"),
        ({"instance": "a"}, ""),
    ],
)
def test_the_service_is_the_first_label_that_names_one(given: dict[str, str], expected: str) -> None:
    assert Naming(("service", "service.name", "job")).service_of(given) == expected


KSM = "kube-prometheus-stack-kube-state-metrics"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"service": KSM, "job": "kube-state-metrics", "pod": "payments-6d5c7f9b8-x2x7q"}, "payments"),
        ({"service": KSM, "job": "kube-state-metrics", "deployment": "cart"}, "cart"),
        ({"service": KSM, "pod": f"{KSM}-6d5c7f9b8-x2x7q", "exported_pod": "orders-0"}, "orders"),
        ({"service_name": "orders", "service": "otel-collector", "job": "otel-collector"}, "orders"),
        ({"service": "my-collector", "app": "orders"}, "orders"),
        ({"job": "kube-state-metrics", "exported_job": "payments"}, "payments"),
        ({"service": "ingress-nginx-controller-metrics", "exported_service": "shop"}, "shop"),
        ({"exported_service": "", "service": "shop"}, "shop"),
        ({"app": "one"}, "one"),
        ({"app_kubernetes_io_name": "two"}, "two"),
        ({"app.kubernetes.io/name": "two"}, "two"),
        ({"namespace": "z", "statefulset": "three"}, "three"),
        ({"job": "kubelet", "container": "four"}, "four"),
        ({"Service": " five "}, "five"),
        ({"job": "Node_Exporter", "instance": "n1:9100"}, ""),
        ({"job": "prometheus-blackbox-exporter", "instance": "https://shop.example"}, ""),
        ({"job": "kubernetes-pods", "namespace": "shop"}, ""),
        ({"service": "invoice-exporter", "pod": "invoice-exporter-6d5c7f9b8-x2x7q"}, "invoice-exporter"),
        ({"service": "sap-exporter", "exported_service": "billing"}, "billing"),
        ({"alertname": "Watchdog"}, ""),
    ],
)
def test_an_exporter_is_never_the_service_that_its_metrics_are_about(given: dict[str, str], expected: str) -> None:
    assert BUILT_IN.service_of(given) == expected


@pytest.mark.parametrize(
    ("pod", "workload"),
    [
        ("payments-6d5c7f9b8-x2x7q", "payments"),
        ("payments-api-7bc9f8d6f4-zk9w2", "payments-api"),
        ("kafka-0", "kafka"),
        ("fluent-bit-x7k2p", "fluent-bit"),
        ("backup-28391020-x2x7q", "backup"),
        ("backup-28391020", "backup"),
        ("payments-cache", "payments-cache"),
        ("payments", "payments"),
        ("-0", "-0"),
    ],
)
def test_a_pod_is_known_by_its_workload(pod: str, workload: str) -> None:
    assert workload_of(pod) == workload


def test_a_file_adds_labels_and_exporters_to_the_built_in_ones(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text('[service]\nlabels = ["squad_app"]\nexporters = ["probe-*"]\n')
    naming = load_conventions(file).naming
    assert naming.service_of({"squad_app": "a", "service": "b"}) == "a"
    assert naming.service_of({"service": "probe-7", "deployment": "c"}) == "c"
    assert naming.service_of({"job": "kube-state-metrics", "deployment": "c"}) == "c"


def test_labels_of_the_settings_are_the_only_ones() -> None:
    naming = load_conventions(service_labels=("team",)).naming
    assert (naming.service_of({"team": "x", "service": "y"}), naming.service_of({"service": "y"})) == ("x", "")


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("[service]\nlabels = 'job'\n", "service.labels"),
        ("[services]\n", "services"),
        ("[service]\nlabels = ['']\n", "service.labels.0"),
        ("service", "TOML"),
        (b"\xff", "UTF-8"),
        (None, "No such file"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_what_is_wrong(
    tmp_path: Path, written: str | bytes | None, problem: str
) -> None:
    file = tmp_path / "own.toml"
    if written is not None:
        file.write_bytes(written if isinstance(written, bytes) else written.encode())
    with pytest.raises(ConventionsInvalid, match=r"own\.toml") as refused:
        load_conventions(file)
    assert problem in str(refused.value)
