"""Turn a Raspberry Pi with a microphone, a loudspeaker, a button and a lamp into a talking kiosk."""

__version__ = "0.1.0"
