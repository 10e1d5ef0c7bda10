"""The room that knows sound: the ring, resampling, levels, and ALSA."""

import os

# Has to happen before numpy is first imported. OpenBLAS would start a thread per core and wake them all for
# a product that one core does in 20 us.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
