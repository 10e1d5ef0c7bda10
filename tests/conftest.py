"""How properties are tried: at a desk with new examples each time, in CI with the same ones for the same code."""

import os

from hypothesis import settings

# A loaded machine takes its time over an example; how long one takes is no property of ours.
settings.register_profile("desk", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "desk")
