"""A GPIO chip that obeys the kernel's rules, beneath the ioctl layer.

Chips are files in a directory, so that opening and permissions are real; lines are pipes, so that the
event loop watches real descriptors. Everything that is asked of it is written down.
"""

import errno
import os
import struct
from dataclasses import dataclass, field
from pathlib import Path

from voicekiosk.panel import uapi

_read = os.read


@dataclass
class FakeLine:
    """A requested line: what it was requested with, and its level."""

    flags: int
    high: bool
    event_fd: int
    events: int
    unplugged: bool = False
    history: list[bool] = field(default_factory=list)


class FakeGpio:
    """Stands in for `fcntl.ioctl`."""

    def __init__(self, dev: Path) -> None:
        self.dev = dev
        self.chips: dict[str, tuple[str, int]] = {}
        self.busy: dict[int, str] = {}
        self.levels: dict[int, bool] = {}
        self.lines: dict[int, FakeLine] = {}
        self.by_offset: dict[int, FakeLine] = {}
        self.all_lines: list[FakeLine] = []
        self.requests: list[tuple[int, int]] = []
        self.refused = 0
        self.errors: dict[int, int] = {}

    def add_chip(self, name: str, label: str, lines: int = 54) -> Path:
        (self.dev / name).touch()
        self.chips[name] = (label, lines)
        return self.dev / name

    def ioctl(self, fd: int, number: int, argument: bytearray, mutate: bool) -> int:
        assert mutate
        assert number >> 16 & 0x3FFF == len(argument), "the number tells the size of the struct"
        if number in self.errors:
            raise OSError(self.errors[number], os.strerror(self.errors[number]))
        if number in (uapi.GET_VALUES, uapi.SET_VALUES):
            self._values(self.lines[fd], number, argument)
        else:
            name = Path(f"/proc/self/fd/{fd}").readlink().name
            if name not in self.chips:
                raise OSError(errno.ENOTTY, os.strerror(errno.ENOTTY))
            self._chip(name, number, argument)
        return 0

    def edge(self, offset: int, high: bool, t_s: float) -> None:
        line = self.by_offset[offset]
        line.high = high
        os.write(line.event_fd, struct.pack("=QIIII24x", round(t_s * 1e9), 1 if high else 2, offset, 0, 0))

    def unplug(self, offset: int) -> None:
        """Let the chip go away under a line: its descriptor is readable for ever, and reading fails."""
        line = self.by_offset.pop(offset)
        line.unplugged = True
        os.close(line.event_fd)

    def read(self, fd: int, size: int) -> bytes:
        """Stands in for `os.read`: a line whose chip has gone tells so."""
        data = _read(fd, size)
        if not data and fd in self.lines:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
        return data

    def reset(self) -> None:
        """Forget the lines, and close what the kernel would have closed."""
        for line in self.all_lines:
            if not line.unplugged:
                os.close(line.event_fd)
        for kept in (self.all_lines, self.lines, self.by_offset, self.busy, self.errors):
            kept.clear()

    def _chip(self, name: str, number: int, argument: bytearray) -> None:
        label, lines = self.chips[name]
        if number == uapi.GET_CHIP_INFO:
            struct.pack_into("=32s32sI", argument, 0, name.encode(), label.encode(), lines)
        elif number == uapi.GET_LINE_INFO:
            offset = struct.unpack_from("=I", argument, 64)[0]
            held = offset in self.busy
            struct.pack_into(
                "=32s32sIIQ", argument, 0, b"", self.busy.get(offset, "").encode(), offset, 0, int(held)
            )
        else:
            assert number == uapi.GET_LINE
            self._request(argument)

    def _request(self, argument: bytearray) -> None:
        (offset,) = struct.unpack_from("=I", argument, 0)
        flags, attributes = struct.unpack_from("=QI", argument, 256 + 32)
        lines, buffer_size = struct.unpack_from("=II", argument, 560)
        assert lines == 1
        if offset in self.busy:
            self.refused += 1
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
        assert bool(flags & uapi.FLAG_INPUT) != bool(flags & uapi.FLAG_OUTPUT), "either way, not both"
        high = self.levels.get(offset, bool(flags & uapi.FLAG_PULL_UP))
        if attributes:
            identity, value, mask = struct.unpack_from("=I4xQQ", argument, 256 + 32 + 32)
            assert (identity, mask) == (2, 1)
            high = bool(value)
        read_fd, write_fd = os.pipe()
        line = FakeLine(flags, high, write_fd, buffer_size, history=[high])
        self.all_lines.append(line)
        self.lines[read_fd] = self.by_offset[offset] = line
        self.requests.append((offset, flags))
        struct.pack_into("=i", argument, 588, read_fd)

    def _values(self, line: FakeLine, number: int, argument: bytearray) -> None:
        bits, mask = struct.unpack("=QQ", argument)
        assert mask == 1
        if number == uapi.SET_VALUES:
            assert line.flags & uapi.FLAG_OUTPUT, "an input cannot be set"
            line.high = bool(bits)
            line.history.append(line.high)
        else:
            struct.pack_into("=Q", argument, 0, int(line.high))
