"""The values of the server's Prometheus metrics in this process."""

from prometheus_client import REGISTRY


def metric(name: str, **labels: str) -> float:
    """The value of one sample; 0.0 when nothing was counted under these labels yet.

    The name is that in the text format: a counter's ends with `_total`.
    """
    return REGISTRY.get_sample_value(name, labels) or 0.0
