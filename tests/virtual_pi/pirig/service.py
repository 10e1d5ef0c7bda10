"""The service at the other end of the network: `python -m pirig.service SOCKET [RECORD]`.

The simulator as it is, on an address that the kiosk reaches over the wire, and a name server. Steered
over a Unix socket, which no fault of the network touches. With RECORD it serves from the start.
"""

import asyncio
import base64
import contextlib
import json
import sys
from pathlib import Path
from typing import Any

from voicekiosk.simulator import Fault, Settings, Simulator, scenario
from voicekiosk.simulator.brain import Answer, Heard, parrot
from voicekiosk.simulator.connection import Connection

PORT = 8770
NAME = "agent.virtual-pi.test"


def agent(heard: Heard) -> Answer:
    """Parrot the question; told what to do, and not what to say, do not read that out for a quarter of a minute."""
    told = (heard.instructions or "").lower()
    return Answer("as I was about to say") if told and "say exactly" not in told else parrot(heard)


class NameServer(asyncio.DatagramProtocol):
    """Answers every question for an address with one address, or fails in one of two ways."""

    def __init__(self) -> None:
        self.mode = "answer"
        self.address = "10.9.0.2"
        self.asked = 0
        self._transport: asyncio.DatagramTransport

    def connection_made(self, transport: Any) -> None:
        """Begin."""
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """Answer one question (RFC 1035)."""
        self.asked += 1
        if self.mode == "silent":
            return
        end = data.index(b"\0", 12) + 5
        question = data[12:end]
        for_ipv4 = question[-4:-2] == b"\0\1"
        failed = self.mode == "fail"
        answers = 1 if for_ipv4 and not failed else 0
        header = (
            data[:2] + (b"\x81\x82" if failed else b"\x81\x80") + b"\0\1" + bytes([0, answers]) + b"\0\0\0\0"
        )
        answer = b"\xc0\x0c\0\1\0\1\0\0\0\1\0\4" + bytes(map(int, self.address.split(".")))
        self._transport.sendto(header + question + (answer if answers else b""), addr)


class Service:
    """One simulator at a time, and what can be done to it."""

    def __init__(self) -> None:
        self.names = NameServer()
        self._simulator: Simulator | None = None
        self._door: asyncio.Server | None = None

    async def do(self, request: dict[str, Any]) -> Any:
        """Carry out one request."""
        loop = asyncio.get_running_loop()
        what = request.pop("do")
        match what:
            case "begin":
                await self._end()
                record = Path(request["record"])
                settings = Settings(
                    scenario=scenario.change(scenario.Scenario(), request["scenario"]),
                    agent=agent,
                    record=record,
                )
                self._simulator = Simulator(settings)
                await self._simulator.start()
                await self._open(loop)
                self.names.mode, self.names.address, self.names.asked = "answer", "10.9.0.2", 0
            case "end":
                await self._end()
            case "door":
                # Nobody listens: connections are refused.
                if self._door is not None:
                    self._door.close()
                    self._door = None
                if request["open"]:
                    await self._open(loop)
            case "names":
                self.names.mode = request.get("mode", self.names.mode)
                self.names.address = request.get("address", self.names.address)
                return self.names.asked
            case _:
                return self._steer(what, request)
        return None

    def _steer(self, what: str, request: dict[str, Any]) -> Any:
        simulator = self._simulator
        if simulator is None:
            raise RuntimeError("no simulator is running")
        match what:
            case "stats":
                return simulator.stats()
            case "drop":
                return simulator.drop(request.get("connection", 0), code=request["code"])
            case "say":
                return simulator.say(request["text"])
            case "call":
                return simulator.call_tool(request["tool"])
            case "fault":
                return simulator.fault(Fault(do=request.pop("fault"), **request))
            case "scenario":
                simulator.use_scenario(scenario.change(scenario.Scenario(), request["scenario"]))
                return None
            case "received":
                records = [link.record for link in simulator.connections if link.record is not None]
                return [base64.b64encode(record.up).decode() for record in records]
            case _:
                raise ValueError(f"cannot {what}")

    async def _open(self, loop: asyncio.AbstractEventLoop) -> None:
        simulator = self._simulator
        assert simulator is not None
        self._door = await loop.create_server(lambda: Connection(simulator), "0.0.0.0", PORT)

    async def _end(self) -> None:
        if self._door is not None:
            self._door.close()
            self._door = None
        if self._simulator is not None:
            await self._simulator.stop()
            self._simulator = None


async def _serve(path: str, record: str | None = None) -> None:
    service = Service()
    if record is not None:
        await service.do({"do": "begin", "scenario": {}, "record": record})
    loop = asyncio.get_running_loop()
    await loop.create_datagram_endpoint(lambda: service.names, local_addr=("0.0.0.0", 53))

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while line := await reader.readline():
                try:
                    answer = {"ok": await service.do(json.loads(line))}
                except Exception as error:  # noqa: BLE001 - whoever asked is told
                    answer = {"error": f"{type(error).__name__}: {error}"}
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()

    async with await asyncio.start_unix_server(talk, path, limit=1 << 24) as server:
        await server.serve_forever()


if __name__ == "__main__":
    Path(sys.argv[1]).unlink(missing_ok=True)
    asyncio.run(_serve(*sys.argv[1:]))
