"""Settings of all tests."""

from hypothesis import settings

# Time limits are the machine's business; the first example of a test may import or start something.
settings.register_profile("beam_pipelines", deadline=None)
settings.load_profile("beam_pipelines")
