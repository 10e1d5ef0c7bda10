"""What the person at the command line can ask of the running kiosk."""

import os
import platform
import time
from importlib.metadata import PackageNotFoundError, version
from typing import Protocol

import msgspec

from voicekiosk import __version__
from voicekiosk.agent.facts import LinkState
from voicekiosk.config.diff import compare
from voicekiosk.config.live import Accepted, LiveConfig, Rejected, Unchanged
from voicekiosk.config.render import effective, render_effective
from voicekiosk.config.schema import Config
from voicekiosk.errors import ConfigError, RefusedError
from voicekiosk.kiosk import events as kiosk
from voicekiosk.kiosk import hearing
from voicekiosk.kiosk.chronicle import Chronicle
from voicekiosk.kiosk.conductor import Conductor
from voicekiosk.kiosk.events import Fault
from voicekiosk.kiosk.keeper import Keeper
from voicekiosk.kiosk.loudness import Loudness
from voicekiosk.kiosk.recorder import Recorder
from voicekiosk.kiosk.state import Name, State, name_of, sign_of
from voicekiosk.kiosk.till import Till
from voicekiosk.service import requests
from voicekiosk.service.control import Peer
from voicekiosk.service.credential import Credential, key_from_control
from voicekiosk.service.recording import Recording
from voicekiosk.service.status import (
    ConfigChanges,
    ConfigInForce,
    ConfigStatus,
    LinkStatus,
    LoudspeakerStatus,
    MicrophoneStatus,
    Outcome,
    PanelStatus,
    ProcessStatus,
    ReloadOutcome,
    SessionStatus,
    Status,
    VolumeOutcome,
)

PACKAGES = ("numpy", "websockets", "msgspec", "pyalsaaudio", "gpiozero")

FAULTS = {
    Fault.KEY: "the service does not accept the API key; set another with: sudo voicekiosk key set",
    Fault.SERVICE: "the service refuses what the configuration asks for",
    Fault.MICROPHONE: "the microphone cannot be used",
    Fault.MICROPHONE_SILENT: "the microphone gives no sound at all; look for a mute switch",
    Fault.LOUDSPEAKER: "the loudspeaker cannot be used",
    Fault.DEAF: "the service does not hear loud speech; see what it is sent with: voicekiosk doctor",
    Fault.STUCK_BUTTON: "the talk button has been down for too long; release it",
    Fault.BUDGET: "the daily cap is spent: no conversation before midnight, or a higher money.daily_cap",
    Fault.PANEL: "button or lamp cannot be used",
    Fault.CONFIG: "the configuration file is not in force",
}


class Host(Protocol):
    """What the operator needs of the daemon around the kiosk."""

    keeper: Keeper
    credential: Credential
    till: Till
    loudness: Loudness
    recorder: Recorder

    def set_credential(self, credential: Credential) -> None:
        """Use another key from now on."""

    def reload(self) -> Accepted | Rejected | Unchanged:
        """Read the configuration file again."""
        ...


class Operator:
    """Carries out the requests of the control socket. Belongs to the event loop's thread."""

    def __init__(self, conductor: Conductor, chronicle: Chronicle, host: Host) -> None:
        self._conductor = conductor
        self._chronicle = chronicle
        self._host = host
        self._started_s = time.monotonic()
        self._versions: dict[str, str] | None = None

    async def handle(self, request: requests.Request, peer: Peer) -> object:
        """Carry out `request`; see `service.control.Commands`."""
        del peer
        match request:
            case requests.Status():
                return self.status()
            case requests.Press():
                return self._press(pressed=True)
            case requests.Release():
                return self._press(pressed=False)
            case requests.Mute() | requests.Unmute():
                self._conductor.dispatch(kiosk.MuteSwitched(isinstance(request, requests.Mute)))
                return self._outcome()
            case requests.Say(text):
                return self._say(text)
            case requests.Volume(percent):
                return self._volume(percent)
            case requests.Reload():
                return self.reload()
            case requests.Config():
                return self._config()
            case requests.ConfigDiff(config):
                return self._diff(config)
            case requests.ConfigConfirm():
                return self._outcome(self._host.keeper.confirm())
            case requests.Level():
                return hearing.level_now(self._conductor)
            case requests.Hear(start):
                return hearing.last_question(self._conductor.uplink.utterance, start)
            case requests.HearAloud():
                return self._outcome(hearing.play_last_question(self._conductor))
            case requests.Latency():
                return self._host.recorder.latency()
            case requests.Report():
                return self._report()
            case requests.SetKey(key):
                self._host.set_credential(key_from_control(key))
                return self._outcome("the key is in use from now on")

    def reload(self) -> ReloadOutcome:
        """Read the configuration file again; raises `ConfigError` with every problem, changing nothing."""
        match self._host.reload():
            case Accepted(changes=changes):
                return ReloadOutcome(changed=[change.key for change in changes.changes])
            case _ if not self._live.is_current:
                raise ConfigError("\n".join(str(problem) for problem in self._live.problems))
            case _:
                return ReloadOutcome(changed=[])

    def reason(self, state: State) -> str:
        """Say in words what is wrong, with what to do; empty when nothing is."""
        facts = self._conductor.parts.agent.facts()
        credential = self._host.credential
        for fault in Fault:
            if fault not in state.faults or fault is Fault.CONFIG:
                continue
            if fault is Fault.KEY and credential.key is None:
                return credential.problem
            if fault is Fault.SERVICE and facts.detail:
                return f"{FAULTS[fault]}: {facts.detail}"
            return self._conductor.device_problem(fault) or FAULTS[fault]
        if name_of(state) in (Name.OFFLINE, Name.RECONNECTING):
            return facts.detail
        if Fault.CONFIG in state.faults:
            return f"{FAULTS[Fault.CONFIG]}: {self._host.keeper.problem()}"
        return ""

    # --- the requests --------------------------------------------------------------------------

    def _press(self, *, pressed: bool) -> Outcome:
        if name_of(self._conductor.state) in (Name.STARTING, Name.STOPPING):
            raise RefusedError(f"the kiosk is {name_of(self._conductor.state)}; try again in a moment")
        if pressed and self._conductor.state.muted:
            raise RefusedError("muted: unmute it first (voicekiosk unmute)")
        self._conductor.edge("talk", pressed, time.monotonic())
        return self._outcome()

    def _say(self, text: str) -> Outcome:
        state = self._conductor.state
        speechless = {Fault.KEY, Fault.SERVICE, Fault.BUDGET} & state.faults
        if speechless or name_of(state) in (Name.STARTING, Name.STOPPING):
            raise RefusedError(f"the kiosk cannot speak now: {self.reason(state) or name_of(state)}")
        self._conductor.dispatch(kiosk.SayRequested(text))
        return self._outcome()

    def _volume(self, percent: int | None) -> VolumeOutcome:
        if percent is not None:
            self._conductor.set_volume(percent)
        return VolumeOutcome(volume=self._conductor.volume)

    def _outcome(self, message: str = "") -> Outcome:
        state = self._conductor.state
        name = name_of(state)
        hinders = name in (Name.FAULT, Name.OFFLINE, Name.RECONNECTING, Name.MUTED)
        return Outcome(state=str(name), message=message or (self.reason(state) if hinders else ""))

    # --- the configuration ---------------------------------------------------------------------

    @property
    def _live(self) -> LiveConfig:
        return self._host.keeper.live

    def _config(self) -> ConfigInForce:
        config = self._conductor.config
        return ConfigInForce(
            file=str(self._live.path),
            config=effective(config),
            toml=render_effective(config),
            problems=self._problems(),
        )

    def _diff(self, plain: dict[str, object]) -> ConfigChanges:
        try:
            config = msgspec.convert(plain, Config)
        except msgspec.ValidationError as error:
            raise ConfigError(f"this is no configuration of this version: {error}") from None
        changes = compare(self._conductor.config, config).changes
        return ConfigChanges(changes=[change.as_dict() for change in changes])

    def _problems(self) -> list[str]:
        return [] if self._live.is_current else [str(problem) for problem in self._live.problems]

    # --- the recorder --------------------------------------------------------------------------

    def _report(self) -> Recording:
        recorder, wall_s = self._host.recorder, time.time()
        return Recording(
            made_at_s=wall_s,
            words=self._conductor.config.log.transcripts,
            status=self.status(),
            turns=recorder.turns(time.monotonic(), wall_s),
            latency=recorder.latency(),
        )

    # --- the status ----------------------------------------------------------------------------

    def status(self) -> Status:
        """Return everything that there is to know."""
        conductor, config = self._conductor, self._conductor.config
        state, now_s = conductor.state, time.monotonic()
        panel = conductor.parts.panel.facts()
        return Status(
            name=config.kiosk.name,
            place=config.kiosk.place,
            state=str(name_of(state)),
            since_s=now_s - conductor.since_s,
            reason=self.reason(state),
            lamp=str(sign_of(state, warm=conductor.warm)),
            muted=state.muted,
            link=self._link(now_s),
            microphone=self._microphone(state),
            loudspeaker=self._loudspeaker(state),
            panel=PanelStatus(
                driver=panel.driver,
                device=panel.device,
                mode=config.panel.mode,
                fault="; ".join(panel.faults),
                edges=panel.edges,
            ),
            session=self._session(now_s),
            money=self._host.till.status(),
            config=ConfigStatus(
                file=str(self._live.path),
                loaded_at=self._host.keeper.loaded_at.isoformat(timespec="seconds"),
                problems=self._problems(),
                warnings=[str(problem) for problem in self._live.problems] if self._live.is_current else [],
                confirm_in_s=self._host.keeper.trial.left_s(now_s),
            ),
            key=str(self._host.credential.source),
            versions=self._version_table(),
            process=ProcessStatus(pid=os.getpid(), uptime_s=now_s - self._started_s),
        )

    def _link(self, now_s: float) -> LinkStatus:
        facts = self._conductor.parts.agent.facts()
        return LinkStatus(
            state=str(facts.state),
            since_s=max(0.0, now_s - facts.since_s) if facts.since_s else now_s - self._started_s,
            host=facts.host,
            cause=str(facts.cause or ""),
            detail=facts.detail,
            attempt=facts.attempt,
            retry_in_s=None if facts.retry_at_s is None else max(0.0, facts.retry_at_s - now_s),
            round_trip_ms=None if facts.round_trip_s is None else facts.round_trip_s * 1000,
        )

    def _microphone(self, state: State) -> MicrophoneStatus:
        capture = self._conductor.parts.capture
        stream, counts = capture.stream, capture.statistics()
        device = stream.device if stream is not None else None
        return MicrophoneStatus(
            open=state.microphone_open,
            live=state.microphone_live,
            device=device.pcm_name if device else self._conductor.config.audio.capture.device,
            card=device.card if device else "",
            rate_hz=device.rate_hz if device else None,
            channels=device.channels if device else None,
            format=device.format if device else "",
            overruns=counts.overruns,
            missed_frames=counts.filled_frames + self._conductor.uplink.missed_frames,
            reopened=max(0, counts.losses),
            fault=self._conductor.device_problem(Fault.MICROPHONE),
        )

    def _loudspeaker(self, state: State) -> LoudspeakerStatus:
        playback = self._conductor.parts.playback
        counts, device = playback.statistics(), self._conductor.speaker
        del state
        return LoudspeakerStatus(
            open=device is not None,
            device=device.pcm_name if device else self._conductor.config.audio.playback.device,
            card=device.card if device else "",
            rate_hz=device.rate_hz if device else None,
            channels=device.channels if device else None,
            format=device.format if device else "",
            underruns=counts.underruns,
            starved=counts.starvations,
            reopened=max(0, counts.losses),
            volume=self._conductor.volume,
            fault=self._conductor.device_problem(Fault.LOUDSPEAKER),
        )

    def _session(self, now_s: float) -> SessionStatus:
        facts = self._conductor.parts.agent.facts()
        is_open = facts.state in (LinkState.READY, LinkState.ENDING)
        open_s = now_s - facts.since_s if is_open else None
        return SessionStatus(
            session_id=facts.session_id if is_open else "",
            open_s=open_s,
            turns=self._chronicle.turns,
            sessions=self._chronicle.sessions,
            connected_s=self._conductor.connected_s(now_s),
        )

    def _version_table(self) -> dict[str, str]:
        if self._versions is None:
            self._versions = {"voicekiosk": __version__, "python": platform.python_version()}
            for package in PACKAGES:
                try:
                    self._versions[package] = version(package)
                except PackageNotFoundError:
                    self._versions[package] = "unknown"
        return self._versions
