"""What the simulator does: one table a concern, every key with the live service's behaviour as default.

A scenario file holds only what differs. Times with a unit in the name are in the simulator's own
time (divided by `speed`); a `Span` is one number, or two between which the seed chooses.
Section numbers (S1…S44, 5.4, …) are those of the protocol document.
"""

from __future__ import annotations

import random
import tomllib
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from voicekiosk.errors import ConfigError

Status = Annotated[int, msgspec.Meta(ge=0, le=599)]
Span = float | tuple[float, float]


def draw(rng: random.Random, span: Span) -> float:
    """Return the span's number, or one between its two."""
    return rng.uniform(*span) if isinstance(span, tuple) else span


class Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of a scenario file: unknown keys are refused."""


class Door(Table, frozen=True, kw_only=True):
    """Handshake, credentials, capacity (S1-S3, S8)."""

    http_status: Status = 0  # refuse the upgrade with this status; 0 upgrades
    refuse: str = ""  # answer the first message with this error code; "silence" never answers
    refuse_credentials: bool = False  # refuse every credential, inside the open socket as live
    times: int = 0  # only the first N connections are treated so; 0 is all
    max_sessions: int = 0  # more open or un-ended sessions than this: concurrency_exceeded; 0 is no limit
    agent_timeout_s: float = 10.0  # how long `refuse = "agent_timeout"` takes
    reuse_tokens: bool = False  # live: one token opened several sessions; documented: exactly one
    enforce_token_cap: bool = False  # live: max_session_duration_seconds had no effect
    compression: bool = False  # accept permessage-deflate
    max_message_bytes: int = 1 << 20  # a longer message is closed with 1009
    ping_interval_s: float = 20.0  # real seconds between pings; one unanswered cuts the connection


class Ready(Table, frozen=True, kw_only=True):
    """From the first `session.update` to `session.ready` (S4, S6)."""

    updated_ms: Span = (180.0, 460.0)  # session.update to session.updated, also the answer to a resume
    ready_ms: Span = (1.0, 40.0)  # session.updated to session.ready
    resume_token: bool = True  # false: the empty string that the schema allows
    expires_in_s: int = 3595  # expires_at, from now


class Audio(Table, frozen=True, kw_only=True):
    """Audio that comes in (S14, S16) and the judge's pacing rule (12.1 rule 18)."""

    rate_limit: bool = True  # drop what is faster than real time, and say so
    rate_allowance_s: float = 1.5  # how much audio may be ahead of time before that
    pace_burst_s: float = 0.2  # the 0.2 s of rule 18
    pace_tolerance_s: float = 0.05  # real seconds that the way between two processes may vary by
    wrong_rate_s: float = 10.0  # from ready to internal_error when a wrong sample_rate was declared
    deaf: bool = False  # never hear anything (8.3)


class Turn(Table, frozen=True, kw_only=True):
    """When a user's turn begins and ends (S17-S19, section 6)."""

    clock: Literal["audio", "wall"] = "audio"  # wall: time without audio counts as silence
    threshold_dbfs: float | None = None  # level of a voiced 10 ms; unset: from vad_threshold, 0.5 is -45
    min_voiced_ms: float = 80.0  # less voice than this is a click
    onset_ms: Span = (600.0, 1000.0)  # first voice to input.speech.started
    min_latency_end_ms: Span = (1260.0, 1340.0)  # silence that ends a turn in this mode
    balanced_end_ms: Span = (1900.0, 2000.0)  # the same in this mode, which is the default
    max_accuracy_end_ms: Span = (3200.0, 3300.0)  # the same in this mode
    end_ms: Span | None = None  # the same whatever mode and min_silence say
    long_turn_s: float = 5.0  # longer statements end sooner (6.2)
    long_turn_factor: float = 0.48  # by this much
    early_end_ms: float = 0.0  # a pause this long ends the first turn; 0 is never
    delta_ms: Span = (900.0, 1300.0)  # between transcript.user.delta
    revise: bool = True  # every third delta mishears its last word
    stopped_twice: bool = False  # send input.speech.stopped twice
    # What happens to a reply begun at a pause when the user goes on (S19 a, b, c).
    pause: Literal["interrupt", "merge", "carry"] = "interrupt"
    goes_on_within_ms: float = 3000.0  # how soon the user has to go on for merge and carry
    limit_s: float = 60.0  # how much of one turn is kept for the parrot


class Reply(Table, frozen=True, kw_only=True):
    """What a reply looks like (S20-S26)."""

    greeting_ms: Span = (1.0, 2.0)  # session.ready to the greeting's reply.started
    create_ms: Span = (30.0, 190.0)  # reply.create to reply.started
    first_audio_ms: Span = (290.0, 520.0)  # reply.started to the first reply.audio
    lead_in_ms: Span = (200.0, 800.0)  # silence at the beginning of each reply
    words_ms: Span = 480.0  # first audio to the burst of words
    burst_chunks: int = 20  # chunks that come at once, before the 10 ms pace
    pace: float = 1.0  # times real time; 0 sends everything at once
    transcript_ms: Span = (300.0, 470.0)  # transcript.agent before the end
    # empty: no audio, no words; silent: 7 to 12 s of silence; bom: the word U+FEFF
    content: Literal["normal", "empty", "silent", "bom"] = "normal"
    contents_once: bool = False  # only the first reply that is not a greeting
    error_code: str = ""  # reply.error before reply.done
    during_reply: Literal["queue", "replace"] = "queue"  # reply.create during another reply
    repeat: bool = False  # a second reply.started repeats each answer (3.4)


class BargeIn(Table, frozen=True, kw_only=True):
    """Speech over a reply (S27-S29)."""

    variant: Literal["prompt", "stale"] = "prompt"  # A: all at once; B: stale chunks go on
    decision_ms: Span = (1100.0, 2200.0)  # first voice to the decision
    stale_decision_ms: Span = (1300.0, 1700.0)  # the same for variant stale
    stale_chunks: Span = (150.0, 200.0)  # chunks after input.speech.started, for variant stale
    backchannel_ms: float = 400.0  # less speech than this never interrupts


class Tools(Table, frozen=True, kw_only=True):
    """Tool turns (S30-S36)."""

    variant: Literal["quiet", "silent_audio"] = "quiet"  # A: no audio; B: silent PCM
    call_ms: Span = (450.0, 2000.0)  # reply.started to tool.call
    done_ms: Span = (240.0, 340.0)  # tool.call to reply.done
    silent_done_ms: Span = 2300.0  # the same for variant silent_audio
    early_done_ms: Span = 170.0  # the same after an early result, for variant silent_audio
    next_ms: Span = (25.0, 70.0)  # tool.result to the next reply.started
    http_ms: Span = 300.0  # how long an HTTP tool takes
    strict_timing: bool = False  # count a result before its reply.done as breaking rule 30
    late_stop: bool = False  # speech while a tool runs gives only a late input.speech.stopped (3.4)
    apology: str = "I am sorry, that took too long."  # said when a tool ran into its timeout_seconds


class Lifecycle(Table, frozen=True, kw_only=True):
    """Ending, resuming and limits (S37-S41)."""

    # what session.resume leads to; token_only wants Bearer resume_token
    resume: Literal["refuse", "grant", "refuse_open", "forbidden", "expired", "token_only"] = "refuse"
    take_over: bool = True  # grant a resume although the old connection still seems open, and cut that one
    grace_s: float = 30.0  # how long a dropped session can be resumed, and is billed
    repeat_greeting: bool = False  # greet again after a resume
    max_duration_s: float = 10800.0  # longest session
    at_limit: Literal["ended", "expired"] = "ended"  # session.ended and 1000, or session_expired and 1008
    end_ms: Span = 190.0  # session.end to session.ended
    mixed_update: Literal["refuse", "apply_rest"] = "refuse"  # immutable and mutable in one message


class Events(Table, frozen=True, kw_only=True):
    """Distortions of what is sent (S26, S44, 3.4)."""

    withhold: tuple[str, ...] = ()  # types never sent
    repeat: tuple[str, ...] = ()  # types sent twice
    strip: tuple[str, ...] = ()  # "type.field" or "type.field=value" left out
    unknown: bool = False  # unknown types and fields in between
    shuffle: bool = False  # random order of fields
    timestamps: Literal["float", "iso", "none"] = "float"  # Unix seconds, ISO text, or none
    # the older shapes of session.error
    error_shape: Literal["session.error", "error", "typeless"] = "session.error"
    upper_case_codes: bool = False  # error codes in upper case


class Voice(Table, frozen=True, kw_only=True):
    """What replies sound like."""

    # parrot repeats what it heard; text is spoken by tones, or by espeak
    kind: Literal["parrot", "tones", "espeak"] = "parrot"
    language: str = "en"  # for espeak


class ToolUse(Table, frozen=True, kw_only=True):
    """One call that the script makes."""

    name: str
    arguments: dict[str, Any] = {}


class Rule(Table, frozen=True, kw_only=True):
    """One turn of the script: what is heard, said and called. Turns follow each other, then begin anew."""

    hears: str = ""  # text that the user's turn is taken for
    says: str = ""  # the answer; {heard}, {result} and {seconds} are filled in
    calls: tuple[ToolUse, ...] = ()  # tools to call instead: name, arguments
    then: str = ""  # said when the results are there
    then_calls: tuple[ToolUse, ...] = ()  # chained calls, before `then`
    silent: bool = False  # no reply at all


class Fault(Table, frozen=True, kw_only=True):
    """Something that goes wrong at a moment: after the COUNTth event of a type, or at a time."""

    do: str  # what goes wrong, see below
    after: str = ""  # an event's type, either direction; "" uses at_s
    count: int = 1  # which one of them
    at_s: float = 0.0  # seconds after the connection was opened
    delay_ms: float = 0.0  # later by this
    connection: int = 0  # 0 is every connection
    times: int = 1  # how often in all; 0 is without end
    code: int = 1006  # for drop: close code, 1006 without a close frame, 0 a reset
    error: str = "internal_error"  # code, for error and fail
    message: str = "Simulated fault"  # message, for error and fail
    seconds: float = 1.0  # for stall and blackhole
    frame: str = ""  # text, for frame


class StoredAgent(Table, frozen=True, kw_only=True):
    """An agent that `agent_id` names (section 9)."""

    id: str  # what agent_id has to be
    name: str = "agent"  # name in REST
    system_prompt: str = ""  # its prompt
    greeting: str | None = None  # its greeting, if any
    voice: str = "alba"  # its voice
    tools: tuple[dict[str, Any], ...] = ()  # its tools, with http for HTTP tools


class Scenario(Table, frozen=True, kw_only=True):
    """The whole behaviour of a simulator."""

    description: str = ""
    door: Door = Door()
    ready: Ready = Ready()
    audio: Audio = Audio()
    turn: Turn = Turn()
    reply: Reply = Reply()
    barge_in: BargeIn = BargeIn()
    tools: Tools = Tools()
    lifecycle: Lifecycle = Lifecycle()
    events: Events = Events()
    voice: Voice = Voice()
    script: tuple[Rule, ...] = ()
    fault: tuple[Fault, ...] = ()
    agent: tuple[StoredAgent, ...] = ()


def names() -> list[str]:
    """Return the names of the gallery, sorted."""
    return sorted(
        entry.name.removesuffix(".toml") for entry in _gallery().iterdir() if entry.name.endswith(".toml")
    )


def load(name_or_file: str) -> Scenario:
    """Load a scenario of the gallery, or a file when the name has a slash or ends in .toml.

    Raises ConfigError that names the file, the key and what was expected.
    """
    if name_or_file.endswith(".toml") or "/" in name_or_file:
        try:
            text = Path(name_or_file).read_text(encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"{name_or_file}: cannot read the scenario: {error.strerror}") from error
        return parse(text, name_or_file)
    if name_or_file not in names():
        raise ConfigError(f"no scenario {name_or_file!r}; `voicekiosk simulate --list` shows what there is")
    text = (_gallery() / f"{name_or_file}.toml").read_text(encoding="utf-8")
    return parse(text, f"{name_or_file}.toml")


def parse(text: str, filename: str = "scenario") -> Scenario:
    """Read a scenario from TOML text."""
    try:
        return msgspec.convert(tomllib.loads(text), Scenario)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{filename}: not TOML: {error}") from error
    except msgspec.ValidationError as error:
        raise ConfigError(f"{filename}: {error}") from error


def change(scenario: Scenario, changes: dict[str, Any]) -> Scenario:
    """Return the scenario with single keys changed: {"turn.clock": "wall"}."""
    tables: dict[str, Any] = msgspec.to_builtins(scenario)
    for key, value in changes.items():
        table, _, field = key.partition(".")
        if field and isinstance(tables.get(table), dict):
            tables[table][field] = value
        else:
            raise ConfigError(f"no key {key!r} in a scenario; write it as TABLE.KEY, such as turn.clock")
    try:
        return msgspec.convert(tables, Scenario)
    except msgspec.ValidationError as error:
        raise ConfigError(f"scenario: {error}") from error


def _gallery() -> Any:
    return resources.files(__package__) / "scenarios"
