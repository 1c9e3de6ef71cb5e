"""Settings of all tests."""

from hypothesis import settings

# A loaded machine is slow, which is no failure; and a failure must be the same for everybody.
settings.register_profile("tidings", deadline=None, derandomize=True, max_examples=200)
settings.load_profile("tidings")
