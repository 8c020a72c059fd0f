"""The values of the server's Prometheus metrics in this process."""

from prometheus_client import REGISTRY


def metric(name: str, **labels: str) -> float:
    """The value of one sample; 0.0 when nothing was counted under these labels yet.

    The name is that in the text format: a counter's ends with `_total`. Fails for a name that no
    metric has.
    """
    value = REGISTRY.get_sample_value(name, labels)
    if value is not None:
        return value
    assert name.removesuffix("_total") in {family.name for family in REGISTRY.collect()}, name
    return 0.0
