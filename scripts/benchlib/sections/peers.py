"""Peers: the same conversation by clients as others write them, both directions at once.

No other public client speaks this protocol with a card and can be installed by a lock file, so the peers
are the shapes that published examples have: a block a call, a queue a block, JSON and base64 of the
standard library; once with the cheapest conversion there is and once with a good one (soxr, which
`scripts/bench --install-peers` installs).
"""

import argparse
from functools import partial

from benchlib import clients, peers
from benchlib.outcome import Outcome
from benchlib.sections import talk
from benchlib.stage import Stage


def add_options(parser: argparse.ArgumentParser) -> None:
    talk.add_options(parser)
    parser.set_defaults(rounds=1)


def run(options: argparse.Namespace) -> Outcome:
    makers: dict[str, talk.Make] = {"daemon": talk.duplex, "plain": clients.plain}
    if peers.peer("soxr") is not None:
        makers["plain with soxr"] = partial(clients.plain, environment={"BENCH_RESAMPLER": "soxr"})
    with Stage() as stage:
        seen = talk.measure(stage, stage.service(*talk.DEAF), makers, talk.at_once, options)
    figures = {
        name: {"ms_per_s": one.cpu_ms_per_s, "wakeups_per_s": one.wakeups_per_s} for name, one in seen.items()
    }
    return Outcome(figures, [talk.table("Clients as others write them", seen)])
