"""The kernel's GPIO character device, version 2 (`linux/gpio.h`, Linux 5.10 and later).

One file descriptor per requested line, with edges time-stamped by the kernel on CLOCK_MONOTONIC (the
clock of `time.monotonic`). Nothing here blocks, and nothing polls: the descriptor becomes readable
when there is an edge. Every function raises OSError as the kernel gave it.

The layouts below are the kernel's structs with their padding written out; their sizes are the same
on 32 and 64 bit because the kernel aligns every 64-bit member to eight bytes.
"""

import fcntl
import os
import struct
from dataclasses import dataclass
from typing import Final

_CHIP_INFO: Final = struct.Struct("=32s32sI")
_LINE_INFO: Final = struct.Struct("=32s32sIIQ" + "160x" + "16x")
_LINE_REQUEST: Final = struct.Struct(
    "=I252x"  # offsets: the first of 64
    "32s"  # consumer
    "QI20x"  # config: flags, number of attributes
    "II8sQ216x"  # config: the first of 10 attributes as id, padding, value, mask
    "II20xi"  # number of lines, size of the event buffer, padding, the new descriptor
)
_LINE_VALUES: Final = struct.Struct("=QQ")
_LINE_EVENT: Final = struct.Struct("=QIIII24x")

_WRITE, _READ = 1, 2


def _ioctl_number(direction: int, number: int, size: int) -> int:
    return direction << 30 | size << 16 | 0xB4 << 8 | number


GET_CHIP_INFO: Final = _ioctl_number(_READ, 0x01, _CHIP_INFO.size)
GET_LINE_INFO: Final = _ioctl_number(_READ | _WRITE, 0x05, _LINE_INFO.size)
GET_LINE: Final = _ioctl_number(_READ | _WRITE, 0x07, _LINE_REQUEST.size)
GET_VALUES: Final = _ioctl_number(_READ | _WRITE, 0x0E, _LINE_VALUES.size)
SET_VALUES: Final = _ioctl_number(_READ | _WRITE, 0x0F, _LINE_VALUES.size)

FLAG_USED: Final = 1 << 0
FLAG_INPUT: Final = 1 << 2
FLAG_OUTPUT: Final = 1 << 3
FLAG_EDGE_RISING: Final = 1 << 4
FLAG_EDGE_FALLING: Final = 1 << 5
FLAG_PULL_UP: Final = 1 << 8
FLAG_PULL_DOWN: Final = 1 << 9
FLAG_BIAS_DISABLED: Final = 1 << 10

_ATTRIBUTE_OUTPUT_VALUES: Final = 2
_EVENT_RISING: Final = 1

EVENT_BUFFER: Final = 64
"""Edges the kernel keeps for a line while the event loop is late; the oldest are dropped first."""


@dataclass(frozen=True, slots=True)
class ChipInfo:
    """A GPIO chip: its kernel name, its label (the kind of chip) and how many lines it has."""

    name: str
    label: str
    lines: int


@dataclass(frozen=True, slots=True)
class LineInfo:
    """A line: its name on the board, who holds it, and whether it can be requested."""

    name: str
    consumer: str
    used: bool


@dataclass(frozen=True, slots=True)
class Edge:
    """A change of a line's level, at `t_s` on CLOCK_MONOTONIC."""

    high: bool
    t_s: float


def _text(raw: bytes) -> str:
    return raw.split(b"\0", 1)[0].decode(errors="replace")


def _ioctl(fd: int, number: int, argument: bytearray) -> None:
    fcntl.ioctl(fd, number, argument, True)


def chip_info(chip_fd: int) -> ChipInfo:
    """Ask the open chip what it is; ENOTTY when the file is no GPIO chip."""
    argument = bytearray(_CHIP_INFO.size)
    _ioctl(chip_fd, GET_CHIP_INFO, argument)
    name, label, lines = _CHIP_INFO.unpack(argument)
    return ChipInfo(_text(name), _text(label), lines)


def line_info(chip_fd: int, offset: int) -> LineInfo:
    """Ask who holds a line; ENOTTY or EINVAL from a kernel without version 2 of the interface."""
    argument = bytearray(_LINE_INFO.pack(b"", b"", offset, 0, 0))
    _ioctl(chip_fd, GET_LINE_INFO, argument)
    name, consumer, _offset, _attributes, flags = _LINE_INFO.unpack(argument)
    return LineInfo(_text(name), _text(consumer), bool(flags & FLAG_USED))


def request_line(chip_fd: int, offset: int, flags: int, *, high: bool = False, consumer: str) -> int:
    """Take a line and give its descriptor, which does not block; an output starts at `high`.

    EBUSY when somebody else holds the line.
    """
    attributes = 1 if flags & FLAG_OUTPUT else 0
    argument = bytearray(
        _LINE_REQUEST.pack(
            offset,
            consumer.encode()[:31],
            flags,
            attributes,
            _ATTRIBUTE_OUTPUT_VALUES if attributes else 0,
            0,
            struct.pack("=Q", int(high)),
            attributes,
            1,
            EVENT_BUFFER if flags & (FLAG_EDGE_RISING | FLAG_EDGE_FALLING) else 0,
            0,
        )
    )
    _ioctl(chip_fd, GET_LINE, argument)
    line_fd: int = _LINE_REQUEST.unpack(argument)[-1]
    os.set_blocking(line_fd, False)
    return line_fd


def get_value(line_fd: int) -> bool:
    """Read a line's level."""
    argument = bytearray(_LINE_VALUES.pack(0, 1))
    _ioctl(line_fd, GET_VALUES, argument)
    bits, _mask = _LINE_VALUES.unpack(argument)
    return bool(bits & 1)


def set_value(line_fd: int, high: bool) -> None:
    """Set an output's level."""
    _ioctl(line_fd, SET_VALUES, bytearray(_LINE_VALUES.pack(int(high), 1)))


def read_edges(line_fd: int) -> list[Edge]:
    """Take the edges that have gathered, oldest first; ENODEV when the chip is gone."""
    try:
        raw = os.read(line_fd, _LINE_EVENT.size * EVENT_BUFFER)
    except BlockingIOError:
        return []
    return [
        Edge(kind == _EVENT_RISING, timestamp_ns / 1e9)
        for timestamp_ns, kind, _offset, _number, _line_number in _LINE_EVENT.iter_unpack(raw)
    ]
