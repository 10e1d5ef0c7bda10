"""Peers: the same conversation by clients as others write them, both directions at once.

The peers are the shapes that published examples have: a block a call, a queue a block, JSON and base64 of
the standard library; once with the cheapest conversion there is and once with a good one (soxr, which
`scripts/bench --install-peers` installs). Public clients are named with the reason why they are not among
them.
"""

import argparse
from functools import partial
from typing import Any

from benchlib import clients, peers
from benchlib.outcome import Outcome, Table
from benchlib.sections import talk
from benchlib.stage import Stage

# Looked at in November 2026, the packages' own files in the versions named.
ABSENT = {
    "assemblyai 1.8.2 (the vendor's SDK on PyPI)": "transcription and speech, each by itself; not this API",
    "pipecat-ai 1.14.0": "its AssemblyAI service is transcription alone; none for this API",
    "livekit-plugins-assemblyai 1.8.9": "transcription and speech, each by itself; not this API",
    "AssemblyAI/voice-agent-starter-python": "a repository, no package: nothing that a lock file could hold",
    "dan-ince-aai/voice-agent-sdk, /assemblyai-agents-python": "repositories; no package on PyPI",
}
NO_SOXR = "not installed; scripts/bench --install-peers gets it"


def add_options(parser: argparse.ArgumentParser) -> None:
    talk.add_options(parser)
    parser.set_defaults(rounds=1)


def run(options: argparse.Namespace) -> Outcome:
    makers: dict[str, talk.Make] = {"daemon": talk.duplex, "plain": clients.plain}
    absent = dict(ABSENT)
    if peers.peer("soxr") is not None:
        makers["plain with soxr"] = partial(clients.plain, environment={"BENCH_RESAMPLER": "soxr"})
    else:
        absent["plain with soxr"] = NO_SOXR
    with Stage() as stage:
        seen = talk.measure(stage, stage.service(*talk.DEAF), makers, talk.at_once, options)
    figures: dict[str, Any] = {
        name: {"ms_per_s": one.cpu_ms_per_s, "wakeups_per_s": one.wakeups_per_s} for name, one in seen.items()
    }
    figures["absent"] = absent
    tables = [
        talk.table("Clients as others write them", seen),
        Table("Public clients that are not in it", ["", "why"], list(absent.items())),
    ]
    return Outcome(figures, tables)
