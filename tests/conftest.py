"""For all tests: how properties are tried, and how numpy computes.

At a desk properties get new examples each time, in CI the same ones for the same code.
"""

import os

from hypothesis import settings

# As the daemon has it, and before any test imports numpy: on a busy machine the threads of its BLAS wait for each other,
# and a product that takes 0.1 s takes 5.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# A loaded machine takes its time over an example; how long one takes is no property of ours.
settings.register_profile("desk", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "desk")
