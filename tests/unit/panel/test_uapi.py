"""Our copy of the kernel's structs against the kernel's own header."""

import errno
import shutil
import subprocess
from pathlib import Path

import pytest

from voicekiosk.panel import uapi

HEADER = Path("/usr/include/linux/gpio.h")

NUMBERS = {
    "GPIO_GET_CHIPINFO_IOCTL": uapi.GET_CHIP_INFO,
    "GPIO_V2_GET_LINEINFO_IOCTL": uapi.GET_LINE_INFO,
    "GPIO_V2_GET_LINE_IOCTL": uapi.GET_LINE,
    "GPIO_V2_LINE_GET_VALUES_IOCTL": uapi.GET_VALUES,
    "GPIO_V2_LINE_SET_VALUES_IOCTL": uapi.SET_VALUES,
    "GPIO_V2_LINE_FLAG_USED": uapi.FLAG_USED,
    "GPIO_V2_LINE_FLAG_INPUT": uapi.FLAG_INPUT,
    "GPIO_V2_LINE_FLAG_OUTPUT": uapi.FLAG_OUTPUT,
    "GPIO_V2_LINE_FLAG_EDGE_RISING": uapi.FLAG_EDGE_RISING,
    "GPIO_V2_LINE_FLAG_EDGE_FALLING": uapi.FLAG_EDGE_FALLING,
    "GPIO_V2_LINE_FLAG_BIAS_PULL_UP": uapi.FLAG_PULL_UP,
    "GPIO_V2_LINE_FLAG_BIAS_PULL_DOWN": uapi.FLAG_PULL_DOWN,
    "GPIO_V2_LINE_FLAG_BIAS_DISABLED": uapi.FLAG_BIAS_DISABLED,
    "GPIO_V2_LINE_ATTR_ID_OUTPUT_VALUES": uapi._ATTRIBUTE_OUTPUT_VALUES,
    "GPIO_V2_LINE_EVENT_RISING_EDGE": uapi._EVENT_RISING,
    "sizeof(struct gpiochip_info)": uapi._CHIP_INFO.size,
    "sizeof(struct gpio_v2_line_info)": uapi._LINE_INFO.size,
    "sizeof(struct gpio_v2_line_request)": uapi._LINE_REQUEST.size,
    "sizeof(struct gpio_v2_line_values)": uapi._LINE_VALUES.size,
    "sizeof(struct gpio_v2_line_event)": uapi._LINE_EVENT.size,
}

# Fills a request as we would, and prints its bytes.
REQUEST = """
    struct gpio_v2_line_request r; memset(&r, 0, sizeof r);
    r.offsets[0] = 18; strcpy(r.consumer, "voicekiosk"); r.num_lines = 1; r.fd = 7;
    r.event_buffer_size = 64; r.config.flags = GPIO_V2_LINE_FLAG_OUTPUT; r.config.num_attrs = 1;
    r.config.attrs[0].attr.id = GPIO_V2_LINE_ATTR_ID_OUTPUT_VALUES;
    r.config.attrs[0].attr.values = 1; r.config.attrs[0].mask = 1;
    for (size_t i = 0; i < sizeof r; i++) printf("%02x", ((unsigned char *)&r)[i]);
    struct gpio_v2_line_info n; memset(&n, 0, sizeof n);
    strcpy(n.name, "GPIO17"); strcpy(n.consumer, "spi0"); n.offset = 17; n.num_attrs = 3; n.flags = 5;
    printf("\\n"); for (size_t i = 0; i < sizeof n; i++) printf("%02x", ((unsigned char *)&n)[i]);
    struct gpio_v2_line_event e; memset(&e, 0, sizeof e);
    e.timestamp_ns = 1500000000; e.id = 2; e.offset = 17; e.seqno = 8; e.line_seqno = 9;
    printf("\\n"); for (size_t i = 0; i < sizeof e; i++) printf("%02x", ((unsigned char *)&e)[i]);
"""


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What a C program says of the header: the values of NUMBERS, then three structs as bytes."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or not HEADER.exists():
        pytest.skip("needs a C compiler and linux/gpio.h (apt: gcc linux-libc-dev)")
    directory = tmp_path_factory.mktemp("uapi")
    prints = "\n".join(f'printf("%llu\\n", (unsigned long long)({name}));' for name in NUMBERS)
    (directory / "uapi.c").write_text(
        "#include <stdio.h>\n#include <string.h>\n#include <sys/ioctl.h>\n#include <linux/gpio.h>\n"
        f"int main(void) {{ {prints} {REQUEST} return 0; }}\n"
    )
    subprocess.run([compiler, "-o", directory / "uapi", directory / "uapi.c"], check=True, timeout=60)
    return subprocess.run(
        [directory / "uapi"], check=True, capture_output=True, text=True, timeout=10
    ).stdout.split()


def test_numbers_and_sizes_are_the_kernels(kernel: list[str]):
    assert dict(zip(NUMBERS, map(int, kernel), strict=False)) == NUMBERS


def test_a_request_is_laid_out_as_the_kernel_lays_it_out(kernel: list[str], monkeypatch):
    ours = []
    monkeypatch.setattr(uapi.fcntl, "ioctl", lambda fd, number, argument, mutate: ours.append(argument))
    monkeypatch.setattr(uapi.os, "set_blocking", lambda fd, blocking: None)
    uapi.request_line(3, 18, uapi.FLAG_OUTPUT, high=True, consumer="voicekiosk")
    theirs = bytearray.fromhex(kernel[len(NUMBERS)])
    # The kernel's example has an event buffer and a descriptor filled in; a request has neither.
    theirs[564:568] = theirs[588:592] = bytes(4)
    assert bytes(ours[0]) == bytes(theirs)


def test_the_descriptor_is_read_from_where_the_kernel_puts_it(kernel: list[str], monkeypatch):
    theirs = bytes.fromhex(kernel[len(NUMBERS)])

    def fill(fd, number, argument, mutate):
        argument[:] = theirs

    monkeypatch.setattr(uapi.fcntl, "ioctl", fill)
    monkeypatch.setattr(uapi.os, "set_blocking", lambda fd, blocking: None)
    assert uapi.request_line(3, 18, uapi.FLAG_INPUT, consumer="voicekiosk") == 7


def test_a_line_info_is_read_as_the_kernel_lays_it_out(kernel: list[str], monkeypatch):
    theirs = bytes.fromhex(kernel[len(NUMBERS) + 1])

    def fill(fd, number, argument, mutate):
        argument[:] = theirs

    monkeypatch.setattr(uapi.fcntl, "ioctl", fill)
    assert uapi.line_info(3, 17) == uapi.LineInfo("GPIO17", "spi0", used=True)


def test_an_event_is_read_as_the_kernel_lays_it_out(kernel: list[str], monkeypatch):
    theirs = bytes.fromhex(kernel[len(NUMBERS) + 2])
    monkeypatch.setattr(uapi.os, "read", lambda fd, size: theirs * 2)
    assert uapi.read_edges(3) == [uapi.Edge(high=False, t_s=1.5)] * 2


def test_the_numbers_are_those_of_arm_and_x86():
    assert uapi.GET_CHIP_INFO == 0x8044B401
    assert uapi.GET_LINE == 0xC250B407


def test_no_edges_are_no_error(monkeypatch):
    def empty(fd, size):
        raise BlockingIOError(errno.EAGAIN, "again")

    monkeypatch.setattr(uapi.os, "read", empty)
    assert uapi.read_edges(3) == []
