"""What can go wrong, and the exit code that says so.

KioskError                  exit 1  something failed
├── ConfigError             exit 2  the configuration or the command line is wrong
├── DeviceError             exit 1  a microphone, loudspeaker or GPIO line cannot be used
├── NotRunningError         exit 3  no daemon answers on the control socket
└── RefusedError            exit 4  the daemon cannot do that in its present state

Messages are one sentence: what happened, where, and what to do. They never hold a key or a token.
"""


class KioskError(Exception):
    """Base of every error that a person should see without a traceback."""

    exit_code = 1


class ConfigError(KioskError):
    """The configuration or the command line is wrong; nothing was changed."""

    exit_code = 2


class DeviceError(KioskError):
    """A microphone, loudspeaker or GPIO line cannot be used."""


class NotRunningError(KioskError):
    """No daemon answers on the control socket."""

    exit_code = 3


class RefusedError(KioskError):
    """The daemon understood, and cannot do that in its present state."""

    exit_code = 4
