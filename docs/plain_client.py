"""A conversation in forty lines, written from the protocol document alone.

voicekiosk simulate                                   # in one terminal
python docs/plain_client.py speech.wav                # in another: 24 kHz, mono, 16 bit
"""
# ruff: noqa: ANN001, D103, INP001, T201

import asyncio
import base64
import json
import sys
import wave

from websockets.asyncio.client import connect

URL = sys.argv[2] if len(sys.argv) > 2 else "ws://127.0.0.1:8770/v1/ws"
KEY = sys.argv[3] if len(sys.argv) > 3 else "sim-key"
FRAME_S = 0.05


async def main() -> None:
    with wave.open(sys.argv[1]) as file:
        speech = file.readframes(file.getnframes())
    headers = {"Authorization": f"Bearer {KEY}"}
    async with connect(URL, additional_headers=headers, compression=None) as socket:
        await socket.send(json.dumps({"type": "session.update", "session": {"greeting": "Hello."}}))
        while json.loads(await socket.recv())["type"] != "session.ready":
            pass
        talking = asyncio.create_task(talk(socket, speech))
        sound, replies = b"", 0
        async for message in socket:
            event = json.loads(message)
            if event["type"] == "reply.audio":
                sound += base64.b64decode(event["data"])
            elif event["type"] in ("transcript.user", "transcript.agent"):
                print(event["type"].removeprefix("transcript."), "says:", event["text"])
            elif event["type"] == "reply.done":
                replies += 1
                if replies == 2:  # the greeting, and the answer
                    await socket.send(json.dumps({"type": "session.end"}))
        talking.cancel()
        print(f"heard {len(sound) / 48000:.1f} s of reply")


async def talk(socket, speech: bytes) -> None:
    size, start = int(FRAME_S * 48000), asyncio.get_running_loop().time()
    for number in range(1_000_000):  # silence goes on after the speech, so that the turn is closed
        frame = speech[number * size : (number + 1) * size].ljust(size, b"\0")
        await socket.send(json.dumps({"type": "input.audio", "audio": base64.b64encode(frame).decode()}))
        await asyncio.sleep(start + (number + 1) * FRAME_S - asyncio.get_running_loop().time())


asyncio.run(main())
