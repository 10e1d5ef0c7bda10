"""Keep libasound from writing to standard error: it says in ten lines what our exceptions say in one."""

import contextlib
import ctypes
import functools


@functools.cache
def silence_alsa() -> None:
    """Take libasound's own words away, for the whole process. Does nothing where there is no libasound."""
    with contextlib.suppress(OSError, AttributeError):
        # The library calls this with a message's parts. A function of C that looks at no arguments, not one
        # of Python: a callback would need memory that is writable and executable, which the unit denies.
        nothing = ctypes.cast(ctypes.CDLL(None).getpid, ctypes.c_void_p)
        ctypes.CDLL("libasound.so.2").snd_lib_error_set_handler(nothing)
