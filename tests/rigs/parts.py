"""Stand-ins for everything the conductor leads: they remember what they were told and say what they are told to."""

import asyncio
from dataclasses import dataclass, field

import numpy as np

from voicekiosk.agent.facts import LinkFacts, LinkState
from voicekiosk.audio.capture import CaptureStatistics, CaptureStream
from voicekiosk.audio.frames import DeviceFacts
from voicekiosk.audio.playback import PlaybackStatistics
from voicekiosk.audio.ring import Ring
from voicekiosk.panel.driver import PanelFacts
from voicekiosk.panel.lamp import Sign

RATE_HZ = 48000


def device(direction):
    return DeviceFacts(direction, "hw:CARD=Fake", "Fake", RATE_HZ, 1, "S16_LE", 960, 9600)


class FakeCapture:
    """A microphone whose ring the test fills; `frame_at` maps the moment of opening to the ring's start."""

    def __init__(self, settings, post, wake):
        self.settings, self.post = settings, post
        self.ring = Ring(65 * RATE_HZ, wake)
        self.stream = CaptureStream(self.ring, RATE_HZ, device("capture"))
        self.calls = []
        self.origin_s = 0.0
        self.first_frame = 0
        self.stops = True
        self.live = True

    def start(self):
        self.calls.append("start")

    def set_live(self, live):
        self.live = live

    def open(self):
        self.calls.append("open")

    def close(self):
        self.calls.append("close")

    def stop(self, timeout_s):
        self.calls.append("stop")
        return self.stops

    def frame_at(self, t_s):
        return max(self.first_frame, round((t_s - self.origin_s) * RATE_HZ))

    def hear(self, seconds, level=8000):
        rng = np.random.default_rng(self.ring.written)
        self.ring.write(rng.integers(-level, level + 1, round(seconds * RATE_HZ)).astype(np.int16))

    def progress_age_s(self, now_s):
        return None

    def statistics(self):
        return CaptureStatistics(self.ring.written, 0, 0, 0, 1)


class FakePlayback:
    """A loudspeaker that plays what the test says it has played."""

    def __init__(self, settings, post):
        self.settings, self.post = settings, post
        self.calls = []
        self.pcm = b""
        self.played_samples = 0
        self.stops = True

    def start(self):
        self.calls.append("start")

    def open(self):
        self.calls.append("open")

    def close(self):
        self.calls.append("close")

    def stop(self, timeout_s):
        self.calls.append("stop")
        return self.stops

    def play(self, pcm):
        self.pcm += pcm
        self.calls.append("play")

    def end(self):
        self.calls.append("end")

    def flush(self):
        self.calls.append("flush")

    def set_volume(self, percent):
        self.calls.append(f"volume {percent}")

    @property
    def enqueued_samples(self):
        return len(self.pcm) // 2

    @property
    def queued_samples(self):
        return self.enqueued_samples - self.played_samples

    def progress_age_s(self, now_s):
        return None

    def statistics(self):
        return PlaybackStatistics(self.enqueued_samples, self.played_samples, 0, 0, 0, 0, 0, 0, 1)


class FakeAgent:
    """A link that the test makes ready, drops and lets speak."""

    def __init__(self, config, on_event):
        self.config, self.say = config, on_event
        self.calls = []
        self.sent = b""
        self.takes = True
        self.left = None
        self.heard = ""
        self.state = LinkState.CLOSED

    def open(self):
        self.calls.append("open")

    async def close(self, timeout_s=2.0):
        self.calls.append("close")
        await asyncio.sleep(0)

    def send_audio(self, pcm):
        if self.takes:
            self.sent += pcm
        return self.takes

    def speech_going_up(self, speaking):
        self.calls.append(f"speech {speaking}")

    def create_reply(self, instructions=None, *, go_on=False):
        self.calls.append(("create", instructions))
        return True

    def be_patient(self, patient):
        self.calls.append(("patient", patient))

    def discard_reply(self):
        self.calls.append("discard")

    def answer(self, call_id, epoch, text, *, is_error=False):
        self.calls.append(("answer", call_id, epoch, text, is_error))

    def played(self, reply_id, samples):
        self.calls.append(("played", reply_id, samples))
        return self.heard

    def renew(self, detail, cause=None):
        self.calls.append("renew")

    def network_returned(self):
        self.calls.append("network returned")

    def snapshot(self, reply_id="", played_samples=0):
        self.asked = reply_id, played_samples
        return self.left

    def keep(self, for_s):
        self.calls.append(("keep", for_s))

    def restore(self, snapshot, age_s):
        self.calls.append(("restore", snapshot, age_s))

    def reconfigure(self, config):
        self.config = config
        self.calls.append("reconfigure")

    def facts(self):
        return LinkFacts(self.state, 0.0, "sim", "sess", 0, None, "", None, None, 0, 0, 0, 0, 0)


class FakePanel:
    """A button that the test presses and a lamp that remembers."""

    def __init__(self, settings):
        self.settings = settings
        self.signs = []
        self.acknowledged = 0
        self.faults = ()
        self.closed = False

    def start(self, loop, on_edge, on_faults=lambda: None):
        self.on_edge = on_edge
        self.on_faults = on_faults

    def show(self, sign):
        self.signs.append(sign)

    def acknowledge(self):
        self.acknowledged += 1

    def close(self):
        self.closed = True

    def facts(self):
        return PanelFacts("fake", "a test", self.signs[-1] if self.signs else Sign.OFF, self.faults)


@dataclass
class FakeFactory:
    """Makes the stand-ins and keeps all that were made."""

    made: list = field(default_factory=list)
    panel_faults: tuple[str, ...] = ()

    def _keep(self, part):
        self.made.append(part)
        return part

    def capture(self, settings, post, wake):
        return self._keep(FakeCapture(settings, post, wake))

    def playback(self, settings, post):
        return self._keep(FakePlayback(settings, post))

    def agent(self, config, on_event):
        return self._keep(FakeAgent(config, on_event))

    def panel(self, settings):
        panel = self._keep(FakePanel(settings))
        panel.faults = self.panel_faults
        return panel
