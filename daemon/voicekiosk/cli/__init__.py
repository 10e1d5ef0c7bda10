"""The command `voicekiosk`: one thin file per subcommand, found by its file's name."""

from voicekiosk.cli.frame import main

__all__ = ["main"]
