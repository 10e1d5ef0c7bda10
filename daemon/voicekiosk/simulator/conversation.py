"""Who has the floor: user turns, replies, barge-in (S17-S34; sections 3.4, 6 and 7)."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from voicekiosk.simulator import frames
from voicekiosk.simulator.agenda import Agenda
from voicekiosk.simulator.brain import Agent, Answer, Call, Heard, Reason, Result
from voicekiosk.simulator.configuration import Configuration
from voicekiosk.simulator.listening import RATE_HZ, Ear, Samples, UserTurn, threshold_dbfs, words_of
from voicekiosk.simulator.scenario import Scenario, draw
from voicekiosk.simulator.speaker import Channel, Reply, Speaker
from voicekiosk.simulator.timing import TurnTiming
from voicekiosk.simulator.toolwork import State, ToolWork
from voicekiosk.simulator.voices import Voice

CLICK_S = 0.3
"""A candidate with less voice than the least, and this much silence after it, was a click."""


class Conversation:
    """One agent and one user, without a socket; time comes in as a number."""

    def __init__(
        self,
        channel: Channel,
        agenda: Agenda,
        *,
        scenario: Scenario,
        rng: random.Random,
        configuration: Configuration,
        voice: Voice,
        agent: Agent,
        hears: Callable[[int], str],
    ) -> None:
        self.configuration = configuration
        self.turn_number = 0
        self.ear = Ear(-45.0, scenario.turn.limit_s)
        self.turn: UserTurn | None = None
        self.next_text = ""
        """What the next turn is taken for, whatever is said."""
        self._channel, self._agenda, self._rng = channel, agenda, rng
        self._ids = frames.Ids(rng)
        self._settings = scenario
        self._voice, self._agent, self._hears = voice, agent, hears
        self.speaker = Speaker(
            channel, agenda, scenario, rng, on_done=self._on_done, on_stale_out=self._on_stale_out
        )
        self.tools = ToolWork(
            channel, agenda, scenario.tools, rng, finish=self.speaker.finish, go_on=self._go_on
        )
        self._wanted: deque[Heard] = deque(maxlen=20)
        self._carried: Reply | None = None  # an open reply that the next turn uses (S19 c)
        self._last_heard = Heard("turn", 0)
        self._last_end = 0  # where the last turn's audio ended
        self._closing = False  # the turn is over, its events wait for the stale audio
        self._flushes: deque[Callable[[float], None]] = deque(maxlen=20)  # held back until a tool's result
        self._deferred = False  # an utterance was complete before an uninterruptible reply was
        self._content_used = False
        self._rounds = 0
        self._odd = False  # speech came while a tool ran (3.4)
        self._timing = TurnTiming(scenario.turn, scenario.barge_in, rng)

    # --- the agent's side

    def greet(self, text: str, now_s: float) -> None:
        """Speak the greeting, verbatim (S24)."""
        due_s = now_s + draw(self._rng, self._settings.reply.greeting_ms) / 1000
        self._agenda.at(due_s, lambda t: self._answer(Heard("greeting", 0, text), t))

    def create_reply(self, instructions: str | None, now_s: float) -> None:
        """Start a reply without the user (S25)."""
        due_s = now_s + draw(self._rng, self._settings.reply.create_ms) / 1000
        heard = replace(self._last_heard, reason="create", instructions=instructions)
        self._agenda.at(due_s, lambda t: self._answer(heard, t))

    def say(self, text: str, now_s: float) -> None:
        """Let the agent say this, as soon as it has the floor."""
        self._answer(Heard("say", self.turn_number, text), now_s)

    def call_tool(self, call: Call, now_s: float) -> None:
        """Let the agent call a tool, in a reply of its own."""
        if self.speaker.busy and self.speaker.reply is not None:
            self.speaker.interrupt(self.speaker.reply, now_s)
        reply = self.speaker.begin("tool", self.turn_number)
        self._call(reply, (call,), now_s)

    def interrupt(self, now_s: float) -> None:
        """Interrupt the running reply as if the user had spoken."""
        if self.speaker.busy and self.turn is None:
            self._barge_in(now_s)

    def _answer(self, heard: Heard, now_s: float) -> None:
        reply = self.speaker.reply
        if reply is not None and reply.open and reply is not self._carried:
            greeting = reply.kind == "greeting" and heard.reason == "create"
            if greeting or (self._settings.reply.during_reply == "replace" and heard.reason != "say"):
                self.tools.interrupted(reply)
                self._wanted.clear()
                self.speaker.interrupt(reply, now_s)
            else:
                self._wanted.append(heard)
                return
        self._begin(heard, now_s)

    def _begin(self, heard: Heard, now_s: float) -> None:
        echo = self.configuration.echo
        heard = replace(
            heard,
            system_prompt=echo["system_prompt"],
            tools=tuple(tool["name"] for tool in echo["tools"]),
        )
        answer = self._agent(heard)
        if answer is None:
            return
        if isinstance(answer, str):
            answer = Answer(answer)
        reply, self._carried = self._carried, None
        if reply is None:
            kind = "tool" if answer.calls else str(heard.reason)
            reply = self.speaker.begin(kind, heard.turn)
        if heard.reason == "results":
            self.tools.hold_answered = False
        if answer.calls:
            self._call(reply, answer.calls, now_s)
        else:
            parrots = answer.samples is heard.samples
            reply.native_8k = parrots and bool(self.configuration.input_encoding.law)
            self._speak(reply, answer, now_s)

    def _call(self, reply: Reply, calls: tuple[Call, ...], now_s: float) -> None:
        reply.kind, reply.voiced = "tool", False
        reply.facts["kind"] = "tool"
        self.tools.begin(reply, calls, self.configuration, now_s)
        if self._settings.tools.variant == "silent_audio":
            silence = np.zeros(30 * RATE_HZ, np.int16)
            self.speaker.play(reply, silence, self.configuration.output_encoding, now_s, lead=False)

    def _speak(self, reply: Reply, answer: Answer, now_s: float) -> None:
        content = "normal" if reply.kind == "greeting" or self._content_used else self._settings.reply.content
        if reply.kind != "greeting" and self._settings.reply.contents_once:
            self._content_used = True
        if self._settings.reply.error_code:
            code = self._settings.reply.error_code
            self._channel.send(frames.reply_error(reply.reply_id, code, "LLM provider failed"))
            content = "empty"
        match content:
            case "empty":
                reply.voiced = False
                self._agenda.at(now_s + 0.3, lambda t: self.speaker.finish(reply, t), reply)
            case "silent":
                reply.voiced = False
                self._play(reply, np.zeros(int(self._rng.uniform(7, 12) * RATE_HZ), np.int16))
            case "bom":
                reply.text = "\ufeff"
                self._play(reply, np.zeros(RATE_HZ // 2, np.int16))
            case _:
                reply.text = answer.text
                reply.odd, self._odd = self._odd and reply.kind == "results", False
                if answer.samples is not None:
                    self._play(reply, answer.samples)
                else:
                    self._voice.render(answer.text, lambda samples: self._play(reply, samples))

    def _play(self, reply: Reply, samples: Samples) -> None:
        volume = self.configuration.echo["output"]["volume"]
        if volume is not None and volume != 100:
            samples = (samples * (volume / 100)).astype(np.int16)
        self.speaker.play(reply, samples, self.configuration.output_encoding, self._channel.now_s)

    def _on_done(self, reply: Reply, now_s: float) -> None:
        self.tools.done(reply, now_s)
        completed = reply.status == "completed"
        if completed and (reply.odd or self._settings.reply.repeat) and reply.kind not in ("tool", "repeat"):
            again = self.speaker.begin("repeat", reply.facts["turn"])
            again.text, again.native_8k = reply.text, reply.native_8k
            samples = reply.pcm[reply.facts.get("lead_samples", 0) :]
            self.speaker.play(again, samples, self.configuration.output_encoding, now_s)
            return
        deferred, self._deferred = self._deferred, False
        if deferred and self._user_is_done and self.ear.onset is not None:
            self._begin_turn(now_s)
            self._end_turn(now_s)
        elif self._wanted:
            heard = self._wanted.popleft()
            due_s = now_s + draw(self._rng, self._settings.tools.next_ms) / 1000
            self._agenda.at(due_s, lambda t: self._answer(heard, t))

    def _go_on(self, reason: str, results: tuple[Result, ...], now_s: float) -> None:
        while self._flushes:
            self._flushes.popleft()(now_s)
        why: Reason = "results" if reason == "results" else "timeout"
        text = self._settings.tools.apology if why == "timeout" else self._last_heard.text
        self._rounds += 1
        heard = replace(self._last_heard, reason=why, results=results, text=text, rounds=self._rounds)
        self._answer(heard, now_s)

    def reconnected(self, now_s: float) -> None:
        """Go on over a new connection: context and running tools stay, the running reply is lost."""
        reply = self.speaker.reply
        if reply is not None and reply.open:
            self.speaker.stop(reply)
            self.tools.interrupted(reply, State.LOST)
            reply.status = "lost"
        self.speaker.reply, self.speaker.down_samples = None, 0
        self.turn, self._carried, self._closing, self._deferred = None, None, False, False
        self._wanted.clear()
        self._flushes.clear()
        self.ear = Ear(-45.0, self._settings.turn.limit_s)
        self._last_end = 0
        self.tools.rearm(now_s)

    # --- the user's side

    def hear(self, samples: Samples, now_s: float) -> None:
        """Take audio that was received."""
        default = self.configuration.detection.get("vad_threshold", 0.5)
        dbfs = self._settings.turn.threshold_dbfs
        self.ear.set_threshold(threshold_dbfs(default) if dbfs is None else dbfs)
        for _ in self.ear.feed(samples):
            self._judge(now_s)

    def _judge(self, now_s: float) -> None:
        ear, enough_s = self.ear, self._settings.turn.min_voiced_ms / 1000
        if self._closing:
            return
        if self.turn is None:
            if ear.voiced_s < enough_s:
                if ear.silence_s >= CLICK_S:
                    ear.forget()
                return
            reply = self.speaker.reply
            if reply is not None and reply.open and reply is not self._carried:
                self._over_reply(reply, now_s)
            elif ear.elapsed_s >= self._timing.onset_s or self._user_is_done:
                self._begin_turn(now_s)
        elif ear.position >= self.turn.next_delta:
            self._send_delta(self.turn)
        if self.turn is not None and self._user_is_done:
            self._end_turn(now_s)

    @property
    def _user_is_done(self) -> bool:
        return self.ear.silence_s >= self._timing.end_s(self.configuration, self.ear)

    def _over_reply(self, reply: Reply, now_s: float) -> None:
        """Decide what speech over a reply means."""
        ear, detection, barge_in = self.ear, self.configuration.detection, self._settings.barge_in
        if reply.kind == "greeting" and "greeting" in detection.get("uninterruptible_turns", []):
            if ear.silence_s >= CLICK_S:
                ear.forget()
            return
        if reply.kind == "turn" and self._timing.goes_on(ear.start() - self._last_end):
            if ear.elapsed_s >= CLICK_S:
                self._user_goes_on(reply, now_s)
            return
        if not detection.get("interrupt_response", True):
            self._deferred = True
            return
        need_s = max(self.configuration.interruption_delay_s, barge_in.backchannel_ms / 1000)
        if ear.voiced_s >= need_s and (self._user_is_done or ear.elapsed_s >= self._timing.decision_s):
            self._barge_in(now_s)
        elif self._user_is_done:
            ear.forget()

    def _barge_in(self, now_s: float) -> None:
        reply = self.speaker.reply
        if reply is None:
            return
        self.tools.interrupted(reply)
        self._wanted.clear()
        self._channel.note("barge_in", reply_id=reply.reply_id, t_s=self._channel.now_t_s())
        self._channel.send({"type": "input.speech.started"})
        if self._settings.barge_in.variant == "stale" and reply.voiced and reply.total:
            reply.stale = round(draw(self._rng, self._settings.barge_in.stale_chunks))
            reply.transcript_out = True  # its two texts come with the end
        else:
            self.speaker.interrupt(reply, now_s)
        if self.ear.onset is not None:
            self._open_turn()

    def _on_stale_out(self, reply: Reply, now_s: float) -> None:
        if self._closing:
            self._closing = False
            self._end_turn(now_s)
        elif self.turn is None:
            self.speaker.interrupt(reply, now_s)

    def _user_goes_on(self, reply: Reply, now_s: float) -> None:
        """Take speech soon after the last turn as its continuation (S19 b, c)."""
        self.speaker.stop(reply)
        self.tools.interrupted(reply)
        if self._settings.turn.pause == "merge":
            reply.transcript_out = reply.words_out = True
            self._channel.send(
                frames.agent_text(reply.reply_id, reply.item_id, reply.text, interrupted=False)
            )
            self.speaker.finish(reply, now_s)
        else:
            self._carried = reply
        self._open_turn()
        if self.turn is not None:
            self.turn.earlier = self._last_heard.samples

    def _begin_turn(self, now_s: float) -> None:
        if self._settings.tools.late_stop and self.tools.waiting:
            self._odd = True
            self._open_turn(silent=True)
            return
        self._emit_or_hold(lambda _: self._channel.send({"type": "input.speech.started"}), now_s)
        self._open_turn()

    def _open_turn(self, *, silent: bool = False) -> None:
        self.turn = UserTurn(self._ids.item(), self.ear.position)
        if not silent:
            self._send_delta(self.turn)

    def _send_delta(self, turn: UserTurn) -> None:
        wait_s = draw(self._rng, self._settings.turn.delta_ms) / 1000
        turn.next_delta = self.ear.position + int(wait_s * RATE_HZ)
        if self._odd or self.tools.holding:
            return
        words = self._words(turn)
        turn.deltas += 1
        if self._settings.turn.revise and turn.deltas % 3 == 0 and words:
            words[-1] = words[-1][::-1]
        self._channel.send(frames.user_delta(turn.item_id, " ".join(words)))

    def _words(self, turn: UserTurn) -> list[str]:
        samples = np.concatenate((turn.earlier, self.ear.heard())) if turn.earlier.size else self.ear.heard()
        words = words_of(samples)
        told = (self.next_text or self._hears(self.turn_number + 1)).split()
        return told[: max(1, len(words))] if told else words

    def _end_turn(self, now_s: float) -> None:
        """Close the user's turn and answer it, all in one burst (S18)."""
        turn, reply = self.turn, self.speaker.reply
        if turn is None:
            return
        stale = reply is not None and reply.open and reply.stale is not None
        if stale and reply is not None and reply.stale:
            self._closing = True  # The stale audio goes out first (S27, variant B).
            return
        if self._odd:
            self.turn = None
            self.ear.forget()
            self._flushes.append(lambda _: self._channel.send({"type": "input.speech.stopped"}))
            return
        heard = self._take_turn(turn)
        self._emit_or_hold(lambda t: self._send_turn(turn, heard, reply if stale else None, t), now_s)
        if not self.tools.holding:
            self._answer(heard, now_s)

    def _take_turn(self, turn: UserTurn) -> Heard:
        ear = self.ear
        samples = np.concatenate((turn.earlier, ear.heard()))
        told = self.next_text or self._hears(self.turn_number + 1)
        text = told or " ".join(words_of(samples))
        self.next_text = ""
        self.turn_number += 1
        self._rounds = 0
        facts = {"turn": self.turn_number, "start": ear.start(), "end": ear.end(), "text": text}
        self._channel.log("turns", facts | {"t_s": self._channel.now_t_s()})
        self._last_end = ear.end()
        self._last_heard = Heard("turn", self.turn_number, text, samples)
        self.turn = None
        ear.forget()
        self._timing.redraw()
        return self._last_heard

    def _send_turn(self, turn: UserTurn, heard: Heard, stale: Reply | None, now_s: float) -> None:
        self._channel.send({"type": "input.speech.stopped"})
        if self._settings.turn.stopped_twice:
            self._channel.send({"type": "input.speech.stopped"})
        if stale is not None:
            self.speaker.interrupt(stale, now_s, twice=True)
        self._channel.send(frames.user_text(turn.item_id, heard.text))

    def _emit_or_hold(self, emit: Callable[[float], None], now_s: float) -> None:
        if self.tools.holding:
            self._flushes.append(emit)
        else:
            emit(now_s)
