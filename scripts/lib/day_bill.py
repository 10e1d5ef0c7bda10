"""Play a day of visitors through the kiosk's own state machine and meter, and print what it costs."""

import argparse
import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from voicekiosk.agent import events as agent
from voicekiosk.audio import events as audio
from voicekiosk.config.schema import Money
from voicekiosk.kiosk import events as kiosk
from voicekiosk.kiosk.events import Fault
from voicekiosk.kiosk.machine import AnyEvent, step
from voicekiosk.kiosk.money import Level, Meter, Prices
from voicekiosk.kiosk.state import Rules, State, Turn
from voicekiosk.panel.gestures import Pressed, Released

PAGE = Path(__file__).resolve().parents[2] / "docs" / "money.md"
BEGIN, END = "<!-- day-bill: begin -->\n", "<!-- day-bill: end -->\n"
SEED = 6
DAY_S = 86400.0
OPENS_S, CLOSES_S = 10 * 3600.0, 18 * 3600.0
VISITORS = 120
QUESTIONS = (1, 4)
QUESTION_S, ANSWER_S, PAUSE_S = (1.5, 5.0), (3.0, 12.0), (2.0, 8.0)
CONNECT_S, TURN_END_S, REPLY_S, AUDIO_S, END_S = 0.6, 1.3, 0.1, 0.5, 0.2
NOON_S = 1_795_305_600.0


@dataclass(slots=True)
class Bill:
    """One day."""

    answered: int
    refused: int
    open_s: float
    cost: float


@dataclass
class Day:
    """A kiosk from midnight to midnight, in time that passes at once."""

    rules: Rules
    prices: Prices
    ends_sessions: bool = True
    now_s: float = 0.0
    state: State = field(default_factory=State)
    answered: int = 0
    refused: int = 0

    def __post_init__(self) -> None:
        self.meter = Meter({})
        self._order = itertools.count()
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._open = False

    def run(self, presses: list[tuple[float, float, float]]) -> Bill:
        """Play `presses`: when, for how long, and how long the answer is."""
        self.tell(kiosk.Started())
        for at_s, question_s, answer_s in presses:
            self.at(at_s, lambda q=question_s, a=answer_s: self.ask(q, a))  # type: ignore[misc]
        while True:
            due_s = min(self._due[0][0] if self._due else DAY_S, self.state.next_deadline_s, self.cap_s())
            if due_s >= DAY_S:
                break
            self.now_s = max(self.now_s, due_s)
            if self._due and self._due[0][0] <= self.now_s:
                heapq.heappop(self._due)[2]()
            else:
                self.tell(kiosk.Tick())
        self.now_s = DAY_S - 0.001
        self.look()
        seconds = self.meter.today.seconds
        return Bill(self.answered, self.refused, seconds, self.prices.cost(seconds))

    def at(self, t_s: float, what: Callable[[], None]) -> None:
        """Do something at a time of the day."""
        heapq.heappush(self._due, (t_s, next(self._order), what))

    def say(self, after_s: float, *events: AnyEvent) -> None:
        """Let something happen a little later."""
        self.at(self.now_s + after_s, lambda: self.tell(*events))

    def cap_s(self) -> float:
        """When the daily cap would be reached."""
        return self.now_s + self.meter.due_in_s(self.prices) + 0.001 if self.meter.open else DAY_S

    def look(self) -> None:
        """Count, and refuse presses once the money is spent."""
        self.meter.look(self.now_s, NOON_S + self.now_s, "2026-11-22")
        spent = self.meter.level(self.prices) is Level.SPENT
        if spent and Fault.BUDGET not in self.state.faults:
            self._decide(kiosk.Failed(Fault.BUDGET))

    def ask(self, question_s: float, answer_s: float) -> None:
        """A visitor presses, speaks, releases and hears the answer."""
        self.tell(Pressed(self.now_s))
        if self.state.turn is not Turn.LISTENING:
            self.refused += 1
            return
        self.answered += 1
        self.say(1.0, agent.SpeechStarted())
        self.say(question_s, Released(self.now_s + question_s, question_s))
        end_s = question_s + TURN_END_S
        self.say(end_s, kiosk.UtteranceSent(loud=True), agent.UserText("?", final=True))
        name = f"r{self.answered}"
        self.say(end_s + REPLY_S, agent.ReplyStarted(name))
        self.say(end_s + AUDIO_S, agent.AgentText(name, "Yes", False, False), kiosk.AudioArrived(name))
        self.say(end_s + AUDIO_S + answer_s - 0.5, agent.ReplyDone(name, interrupted=False))
        self.say(end_s + AUDIO_S + answer_s, audio.SpeakerDrained(0.0, 0))

    def tell(self, *events: AnyEvent) -> None:
        """Let the state machine decide, and be the service and the meter around it."""
        for event in events:
            self.look()
            match event:
                case agent.Ready():
                    self.meter.opened(self.now_s, resumed=False)
                case agent.Ended():
                    self.meter.closed(self.now_s, ended=self.ends_sessions)
            self._decide(event)

    def _decide(self, event: AnyEvent) -> None:
        self.state, _ = step(self.state, event, self.now_s, self.rules)
        if self.state.session_wanted and not self._open:
            self._open = True
            self.say(CONNECT_S, agent.Ready("s", resumed=False, continued=False))
        elif self._open and not self.state.session_wanted:
            self._open = False
            self.say(END_S, agent.Ended(None))


def visitors(seed: int) -> list[tuple[float, float, float]]:
    """Return the presses of one day: the same for every row."""
    rng = random.Random(seed)
    presses: list[tuple[float, float, float]] = []
    for at_s in sorted(rng.uniform(OPENS_S, CLOSES_S) for _ in range(VISITORS)):
        # Whoever comes while somebody talks waits for a turn.
        now_s = max(at_s, presses[-1][0] + 30 if presses else 0)
        for _ in range(rng.randint(*QUESTIONS)):
            question_s, answer_s = rng.uniform(*QUESTION_S), rng.uniform(*ANSWER_S)
            presses.append((now_s, question_s, answer_s))
            now_s += question_s + TURN_END_S + AUDIO_S + answer_s + rng.uniform(*PAUSE_S)
    return presses


def table() -> str:
    """Return the bills as a table."""
    price = Money().price_per_hour
    free, capped = Prices(price, 0.0, 80), Prices(price, 10.0, 80)
    rows = [
        ("no guard: one session, open day and night", Day(Rules(connect_on_boot=True), free)),
        ("a session a conversation, never ended properly", Day(Rules(), free, ends_sessions=False)),
        ("**as shipped**: a session a conversation, `keep_open_s = 45`", Day(Rules(), free)),
        ("hanging up sooner, `keep_open_s = 15`", Day(Rules(keep_open_s=15.0), free)),
        ("as shipped with `daily_cap = 10`", Day(Rules(), capped)),
    ]
    presses = visitors(SEED)
    lines = ["| | answered | refused | open | bill |", "|---|--:|--:|--:|--:|"]
    for name, day in rows:
        bill = day.run(presses)
        hours = f"{bill.open_s / 3600:.1f} h"
        lines.append(f"| {name} | {bill.answered} | {bill.refused} | {hours} | ${bill.cost:.2f} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Print the bills; with --write put them into the page, with --check see whether they are there."""
    parser = argparse.ArgumentParser(prog="scripts/day-bill", description=__doc__)
    parser.add_argument("--write", action="store_true", help="put the table into docs/money.md")
    parser.add_argument("--check", action="store_true", help="fail when docs/money.md has another table")
    args = parser.parse_args()
    bills = table()
    if not (args.write or args.check):
        print(bills, end="")
        return 0
    page = PAGE.read_text()
    head, rest = page.split(BEGIN)
    new = head + BEGIN + bills + END + rest.split(END)[1]
    if args.write:
        PAGE.write_text(new)
    elif new != page:
        print("docs/money.md is out of date: scripts/day-bill --write")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
