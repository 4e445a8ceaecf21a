"""What the service counts, for Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_ROWS = (1, 2, 4, 8, 16, 32, 64)


class Measures:
    """The counters of one service, in a registry of their own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "kefu_nlu_requests",
            "Requests by route and status.",
            ["route", "status"],
            registry=self._registry,
        )
        self._latency = Histogram(
            "kefu_nlu_request_seconds",
            "Time to answer a request.",
            ["route"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._batch_rows = Histogram(
            "kefu_nlu_batch_rows",
            "Texts in a model run.",
            ["work"],
            buckets=_ROWS,
            registry=self._registry,
        )
        self._batch_seconds = Histogram(
            "kefu_nlu_batch_seconds",
            "Time of a model run.",
            ["work"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._parses = Counter(
            "kefu_nlu_parses",
            "Texts understood, by mode and whether sure.",
            ["mode", "sure"],
            registry=self._registry,
        )
        self._cached = Counter(
            "kefu_nlu_cached", "Texts answered from memory.", ["work"], registry=self._registry
        )
        self._waiting = Gauge(
            "kefu_nlu_waiting_tokens", "Tokens queued for the model.", registry=self._registry
        )
        self._model = Gauge(
            "kefu_nlu_model",
            "1 for the active model.",
            ["version", "mode"],
            registry=self._registry,
        )

    def request(self, route: str, status: int, seconds: float) -> None:
        """A request was answered."""
        self._requests.labels(route, str(status)).inc()
        self._latency.labels(route).observe(seconds)

    def batch(self, work: str, rows: int, seconds: float) -> None:
        """The model ran once."""
        self._batch_rows.labels(work).observe(rows)
        self._batch_seconds.labels(work).observe(seconds)

    def parsed(self, intent: str | None, mode: str) -> None:
        """A text was understood."""
        self._parses.labels(mode, "no" if intent == "nlu_fallback" else "yes").inc()

    def cached(self, work: str, count: int) -> None:
        """Texts were answered from memory."""
        if count:
            self._cached.labels(work).inc(count)

    def active(self, version: str, mode: str) -> None:
        """A model became active."""
        self._model.clear()
        self._model.labels(version, mode).set(1)

    def page(self, waiting_tokens: int) -> bytes:
        """The page that Prometheus reads."""
        self._waiting.set(waiting_tokens)
        return generate_latest(self._registry)
