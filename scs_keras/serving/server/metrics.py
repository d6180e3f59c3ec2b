"""Metrics under the names that TF Serving has, for Prometheus.

prometheus_client's own Counter appends `_total` to a name; a collector of ours does not.
"""

import bisect
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric

PATH = "/monitoring/prometheus/metrics"
_COUNT = ":tensorflow:serving:request_count"
_LATENCY = ":tensorflow:serving:request_latency"
_LIMITS = [10 * 1.8**power for power in range(33)]  # microseconds, as there


class Metrics:
    """Requests by model and status, and how long the answered ones took."""

    def __init__(self):
        self._counts: dict[tuple[str, str], int] = {}
        self._latencies: dict[tuple[str, str, str], tuple[list[int], list[float]]] = {}
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def add(self, model: str, status: str, api: str, entrypoint: str, seconds: float) -> None:
        """Counts a request.

        Args:
            model: its name, of those that are served: names that clients make up would fill the memory.
            status: OK, or the code of gRPC.
            api: Predict, Classify or Regress.
            entrypoint: GRPC or REST.
            seconds: from its arrival to its answer; of answered ones only.
        """
        self._counts[model, status] = self._counts.get((model, status), 0) + 1
        if status == "OK":
            buckets, total = self._latencies.setdefault((model, api, entrypoint), ([0] * (len(_LIMITS) + 1), [0.0]))
            buckets[bisect.bisect_left(_LIMITS, seconds * 1e6)] += 1
            total[0] += seconds * 1e6

    def collect(self) -> Iterator[Metric]:
        """For prometheus_client."""
        counts = Metric(_COUNT, "The total number of requests.", "unknown")
        for (model, status), count in sorted(self._counts.items()):
            counts.add_sample(_COUNT, dict(model_name=model, status=status), count)
        yield counts
        latency = Metric(_LATENCY, "Distribution of wall time (in microseconds) for processing requests.", "histogram")
        for (model, api, entrypoint), (buckets, total) in sorted(self._latencies.items()):
            labels = dict(model_name=model, API=api, entrypoint=entrypoint)
            count = 0
            for limit, held in zip([*map("{:g}".format, _LIMITS), "+Inf"], buckets):
                count += held
                latency.add_sample(f"{_LATENCY}_bucket", {**labels, "le": limit}, count)
            latency.add_sample(f"{_LATENCY}_sum", labels, total[0])
            latency.add_sample(f"{_LATENCY}_count", labels, count)
        yield latency

    def page(self) -> bytes:
        """The text that Prometheus reads."""
        text = generate_latest(self._registry)
        return text.replace(f"# TYPE {_COUNT} untyped".encode(), f"# TYPE {_COUNT} counter".encode())
