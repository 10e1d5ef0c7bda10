"""The simulator as a program: what `voicekiosk simulate` does."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import tomllib
from typing import Any

import msgspec

from voicekiosk.errors import ConfigError
from voicekiosk.simulator import scenario
from voicekiosk.simulator.scenario import Scenario
from voicekiosk.simulator.server import Settings, Simulator


def main(args: argparse.Namespace) -> int:
    """List the scenarios, or serve until SIGINT or SIGTERM."""
    if args.list:
        _list(as_json=args.json)
        return 0
    settings = Settings(
        port=args.port,
        key=args.key,
        scenario=_scenario(args),
        seed=args.seed,
        speed=args.speed,
        record=args.record,
        tls=args.tls,
        kept_audio_s=0.0,
    )
    return asyncio.run(_serve(settings, judge=args.judge, as_json=args.json))


async def _serve(settings: Settings, *, judge: bool, as_json: bool) -> int:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    async with Simulator(settings) as simulator:
        _say(f"listening on {simulator.url}")
        if simulator.certificates is not None:
            _say(f"trust {simulator.certificates.authority}")
        await stopped.wait()
    facts = simulator.stats()
    if as_json:
        _say(msgspec.json.format(msgspec.json.encode(facts), indent=1).decode())
    elif judge:
        for line in verdict(facts):
            _say(line)
    return 1 if judge and facts["violation_count"] else 0


def verdict(facts: dict[str, Any]) -> list[str]:
    """Return the lines that say what clients did wrong."""
    lines = []
    for connection in facts["connections"]:
        lines += [
            f"connection {connection['connection']} at {broken['t_s']:.3f} s: "
            f"rule {broken['rule']}: {broken['text']}"
            for broken in connection["violations"]
        ]
    lines += [f"at {broken['t_s']:.3f} s: rule {broken['rule']}: {broken['text']}"
              for broken in facts["general_violations"]]  # fmt: skip
    count, opened = facts["violation_count"], facts["connections_opened"]
    if count > len(lines):
        lines.append(f"… and {count - len(lines)} more")
    rules = "no rule of checklist 12.1 was broken" if not count else f"{count} violations of checklist 12.1"
    lines.append(f"{opened} connection{'' if opened == 1 else 's'}: {rules}")
    return lines


def _list(*, as_json: bool) -> None:
    found = {name: scenario.load(name).description for name in scenario.names()}
    if as_json:
        _say(msgspec.json.encode(found).decode())
        return
    width = max(map(len, found), default=0)
    for name, description in found.items():
        _say(f"{name:{width}}  {description}")


def _scenario(args: argparse.Namespace) -> Scenario:
    chosen = scenario.load(args.scenario) if args.scenario else Scenario()
    changes: dict[str, Any] = {}
    for text in args.set:
        key, equals, value = text.partition("=")
        if not equals:
            raise ConfigError(f"--set {text}: write TABLE.KEY=VALUE, such as turn.clock=wall")
        changes[key.strip()] = _value(value.strip())
    if args.voice:
        changes["voice.kind"] = args.voice
    if args.language:
        changes["voice.language"] = args.language
    return scenario.change(chosen, changes)


def _value(text: str) -> Any:
    """Read a value as TOML would; a bare word is a string."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
