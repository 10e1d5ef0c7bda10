"""A morning as the recorder keeps it: good turns, a lost network, a barge-in, and texts that mean ill."""

import numpy as np

from voicekiosk.agent import events as agent
from voicekiosk.agent.events import Cause
from voicekiosk.audio import events as audio
from voicekiosk.kiosk import events as kiosk
from voicekiosk.kiosk.machine import step
from voicekiosk.kiosk.recorder import WORDS, Recorder
from voicekiosk.kiosk.state import Rules, State, sign_of
from voicekiosk.panel.gestures import Pressed, Released

WALL_S = 1_800_000_000.0
SAID = "what time do the penguins eat"
HOSTILE = "</span><script>alert(1)</script><img src=http://evil.example/x onerror=alert(2)>"
STATUS = {
    "name": "lobby",
    "place": "Berlin",
    "state": "idle",
    "since_s": 42.0,
    "reason": "",
    "link": {"host": "agents.assemblyai.com", "state": "closed", "detail": ""},
    "microphone": {"device": "hw:CARD=Headset", "overruns": 3, "reopened": 1},
    "loudspeaker": {"device": "hw:CARD=Headset", "volume": 60, "underruns": 2, "reopened": 0},
    "panel": {"driver": "gpio", "device": "/dev/gpiochip0", "mode": "hold"},
    "session": {"session_id": ""},
    "config": {
        "file": "/etc/voicekiosk/config.toml",
        "loaded_at": "2026-11-25T07:58:01+01:00",
        "problems": [],
        "warnings": [],
    },
    "process": {"uptime_s": 30000.0},
    "versions": {"voicekiosk": "0.1.0", "python": "3.11.2", "numpy": "2.2.1"},
}


def speech(seconds, rate_hz, seed):
    """Return noise in syllables."""
    rng = np.random.default_rng(seed)
    count = round(seconds * rate_hz)
    loudness = np.repeat(rng.uniform(0.0, 1.0, count // 1000 + 1) ** 2, 1000)[:count]
    return (rng.uniform(-12000, 12000, count) * loudness).astype(np.int16)


class Morning:
    """A recorder, the state machine it watches, and a clock that is set by hand."""

    def __init__(self):
        self.now_s = 100.0
        self.recorder = Recorder(self.now_s)
        self.state = State()
        self.tell(kiosk.Started())

    def tell(self, *events):
        for event in events:
            before = self.state
            self.state, _ = step(before, event, self.now_s, Rules(release_tail_s=0.0))
            self.recorder.observe(event, before, self.state, str(sign_of(self.state)), self.now_s)

    def after(self, seconds, *events, kind="", text=""):
        self.now_s += seconds
        self.tell(*events)
        if text:
            self.recorder.note(kind, text, self.now_s)

    def ask(self, seconds, seed=1):
        """Hold the button and speak."""
        self.after(10.0, Pressed(self.now_s + 10.0), kind="button", text="pressed")
        self.after(
            0.2, agent.Ready("s", resumed=False, continued=False), kind="session", text="session s open"
        )
        sound = speech(seconds, 48000, seed)
        for start in range(0, len(sound), 1920):
            self.after(0.04)
            self.recorder.captured(sound[start : start + 1920], 48000, self.now_s)
            self.recorder.sent(self.now_s)
        self.recorder.proven(self.now_s, whole=False)
        self.after(0.0, agent.SpeechStarted(), kind="speech", text="the service hears speech")
        released = Released(self.now_s, seconds)
        self.after(0.0, released, kind="button", text=f"released after {seconds:.2f} s")
        self.after(0.1, kiosk.UtteranceSent(loud=True), kind="sent", text="the question has been sent")
        self.recorder.proven(self.now_s, whole=True)
        self.after(0.9, agent.SpeechStopped(), kind="speech_end", text="the service closed the turn")
        self.recorder.note(WORDS, f"visitor: {SAID}", self.now_s)

    def answer(self, seconds, reply_id="r", seed=2):
        """Begin an answer."""
        self.after(0.1, agent.ReplyStarted(reply_id), kind="reply", text="the agent answers")
        self.after(0.3, kiosk.AudioArrived(reply_id))
        self.recorder.queued(speech(seconds, 24000, seed).tobytes(), self.now_s)
        self.after(0.05, audio.SpeakerStarted(self.now_s + 0.05), kind="sound", text="the loudspeaker plays")

    def drained(self, seconds):
        """Play an answer to its end."""
        self.after(
            seconds / 2, agent.ReplyDone("r", interrupted=False), kind="reply_done", text="it has arrived"
        )
        self.after(seconds / 2, audio.SpeakerDrained(self.now_s, 0), kind="quiet", text="silent")

    def recording(self, *, words=False):
        return {
            "made_at_s": WALL_S,
            "words": words,
            "status": STATUS,
            "turns": self.recorder.turns(self.now_s, WALL_S),
            "latency": self.recorder.latency(),
        }


def morning():
    """Return it."""
    day = Morning()
    day.recorder.note("microphone", "microphone open: hw:CARD=Headset", day.now_s)
    day.ask(2.0)
    day.answer(4.0)
    day.drained(4.0)
    # Cut short, then answered.
    day.ask(1.5, seed=3)
    day.answer(6.0)
    day.after(2.0, Pressed(day.now_s + 2.0), kind="button", text="pressed")
    day.after(0.04, audio.SpeakerFlushed(day.now_s + 0.04, 48000), kind="quiet", text="silent")
    day.after(1.0, Released(day.now_s + 1.0, 1.0), kind="button", text="released after 1.04 s")
    day.after(30.0, kiosk.HangUp(), agent.Ended(31.0), kind="ended", text="session s ended after 31.0 s")
    # The network goes in the middle of a question, comes back and goes again.
    day.after(600.0, Pressed(day.now_s + 600.0), kind="button", text="pressed")
    for attempt in range(1, 16):
        day.after(
            0.1, agent.Connecting(attempt, resuming=False), kind="connecting", text=f"attempt {attempt}"
        )
        dropped = agent.Dropped(Cause.NETWORK, HOSTILE, 0.4)
        day.after(0.3, dropped, kind="dropped", text=f"no connection (network): {HOSTILE}")
    day.after(0.5, Released(day.now_s + 0.5, 6.5), kind="button", text="released after 6.50 s")
    day.after(20.0, kiosk.HangUp())
    # Muted, and a child at the button.
    day.tell(kiosk.MuteSwitched(True))
    for _ in range(30):
        day.after(0.3, Pressed(day.now_s + 0.3), kind="button", text="pressed")
        day.after(0.1, Released(day.now_s + 0.1, 0.1), kind="button", text="released after 0.10 s")
    return day
