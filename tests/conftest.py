"""What all tests share: one seed, one trace."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "steady",
    derandomize=True,  # the same examples on every run: a red test is red for everybody
    deadline=None,  # nothing here is timed
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("long", parent=settings.get_profile("steady"), max_examples=5000)
settings.load_profile("steady")
