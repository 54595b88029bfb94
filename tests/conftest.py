"""What all tests share: one seed, one trace."""

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.internal.conjecture import providers

settings.register_profile(
    "steady",
    derandomize=True,  # the same examples on every run: a red test is red for everybody
    deadline=None,  # nothing here is timed
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("long", parent=settings.get_profile("steady"), max_examples=5000)
settings.load_profile("steady")


def pytest_configure(config: pytest.Config) -> None:
    """Keep the words of our own code out of the short run's examples.

    Hypothesis draws some of its strings from whatever modules happen to be imported, so that a
    test's examples would hang on which tests ran before it, and on every line of code. The long
    run has them: they find what no others do. (There is no public setting for it.)
    """
    if "not long" in config.getoption("markexpr"):
        providers.is_local_module_file = lambda _: False
