"""Random values take the time they take, on a shared machine, and test classes keep no state for `--count` to spoil."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "payload", deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.differing_executors]
)
settings.load_profile("payload")
