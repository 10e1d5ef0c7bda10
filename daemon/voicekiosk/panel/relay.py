"""Outputs beside button and lamp: a relay that opens a door or switches a light.

An output is taken at its first use, off, and kept off until the daemon ends; then the kernel makes the
pin an input again. A relay must therefore be off while its pin is an input (docs/tools.md).
"""

import asyncio
import os
from typing import Any

import gpiozero
from gpiozero.exc import GPIOZeroError

from voicekiosk.errors import DeviceError
from voicekiosk.panel import lines


class Relays:
    """The outputs of one GPIO chip. Belongs to the event loop's thread."""

    def __init__(self, chip: str) -> None:
        """Prepare without touching a device; `chip` is what the configuration says."""
        self._chip = chip
        self._factory: Any = None
        self._own_factory = False
        self._outputs: dict[int, Any] = {}
        self._busy: dict[int, asyncio.Lock] = {}

    async def pulse(self, number: int, duration_s: float, *, active_high: bool) -> None:
        """Switch an output on for so long, whatever happens meanwhile. Raises `DeviceError`."""
        async with self._busy.setdefault(number, asyncio.Lock()):
            output = self._output(number, active_high=active_high)
            output.on()
            try:
                await asyncio.sleep(duration_s)
            finally:
                output.off()

    def close(self) -> None:
        """Switch everything off and give it back."""
        for output in self._outputs.values():
            output.close()
        self._outputs.clear()
        factory, self._factory = self._factory, None
        if factory is not None and self._own_factory:
            factory.close()

    def _output(self, number: int, *, active_high: bool) -> Any:
        output = self._outputs.get(number)
        if output is not None and output.active_high == active_high:
            return output
        if output is not None:
            self._outputs.pop(number).close()
        try:
            output = gpiozero.DigitalOutputDevice(
                number, active_high=active_high, initial_value=False, pin_factory=self._open()
            )
        except (GPIOZeroError, OSError) as error:
            raise DeviceError(f"the output on GPIO {number} cannot be had: {error}") from None
        self._outputs[number] = output
        return output

    def _open(self) -> Any:
        if self._factory is None:
            if gpiozero.Device.pin_factory is not None or os.environ.get("GPIOZERO_PIN_FACTORY"):
                gpiozero.Device.ensure_pin_factory()
                self._factory, self._own_factory = gpiozero.Device.pin_factory, False
            else:
                loop = asyncio.get_running_loop()
                self._factory = lines.LineFactory(lines.find_chip(self._chip), loop, on_lost=_ignore)
                self._own_factory = True
        return self._factory


def _ignore(*_: object) -> None:
    """Do nothing: a lost chip shows at the next use."""
