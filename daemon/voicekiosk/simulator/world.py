"""What all connections share: credentials, sessions in their grace window, stored agents (1.2, 1.3, 5.4)."""

from __future__ import annotations

import random
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from voicekiosk.errors import ConfigError
from voicekiosk.simulator import frames
from voicekiosk.simulator.brain import Agent
from voicekiosk.simulator.configuration import Refused, check
from voicekiosk.simulator.scenario import Scenario, StoredAgent
from voicekiosk.simulator.voices import Voice

if TYPE_CHECKING:
    from voicekiosk.simulator.session import Session

V = TypeVar("V")

REMEMBERED = 2000
"""Tokens, sessions and agents that are kept at most; the oldest are forgotten."""
REMEMBERED_BYTES = 16 << 20
"""Size as JSON of the configurations of sessions, and of the agents, that are kept at most."""


class Credential(StrEnum):
    """How a connection was let in."""

    KEY = "key"
    RAW_KEY = "raw_key"
    KEY_IN_URL = "key_in_url"
    TOKEN = "token"  # noqa: S105 - a name, not a secret
    RESUME_TOKEN = "resume_token"  # noqa: S105


@dataclass(frozen=True, slots=True)
class Admission:
    """The outcome of looking at a connection's credential."""

    how: Credential | None
    session_id: str = ""  # whose resume_token it was
    cap_s: float | None = None  # max_session_duration_seconds of its token
    region: str = "us"


@dataclass(slots=True)
class Token:
    """A temporary token."""

    expires_s: float
    cap_s: float | None
    used: bool = False


@dataclass(slots=True, eq=False)
class Life:
    """A session as it is known beyond its connection."""

    session_id: str
    session: Session | None
    opened_unix_s: float
    state: str = "live"  # live, dropped, ended, expired
    dropped_s: float = 0.0
    resumes: int = 0  # attempts since the last drop
    resumed_s: float | None = None
    agent_id: str | None = None
    reason: str | None = None
    duration_s: float = 0.0
    deleted: bool = False
    region: str = "us"
    config: dict[str, Any] | None = None


class Shelf(OrderedDict[str, V]):
    """Keeps the newest entries, bounded in number and in size."""

    def __init__(self) -> None:
        super().__init__()
        self._sizes: dict[str, int] = {}

    def __delitem__(self, key: str) -> None:
        """Forget an entry."""
        super().__delitem__(key)
        self._sizes.pop(key, None)

    def keep(self, key: str, value: V, size: int = 0) -> list[V]:
        """Keep an entry of so many bytes; return those that had to go for it."""
        self[key] = value
        self._sizes[key] = size
        gone = []
        while len(self) > REMEMBERED or sum(self._sizes.values()) > REMEMBERED_BYTES:
            oldest = next(iter(self))
            gone.append(self[oldest])
            del self[oldest]
        return gone


class World:
    """Shared state of a simulator. Everything in it is bounded."""

    def __init__(self, scenario: Scenario, key: str, seed: int, voice: Voice, agent: Agent) -> None:
        self.scenario = scenario
        self.key = key
        self.rng = random.Random(seed)  # noqa: S311 - reproducible on purpose
        self.ids = frames.Ids(self.rng)
        self.voice = voice
        self.agent = agent
        self.hears: Callable[[int], str] = lambda _turn: ""
        self.faults_left: dict[int, int] = {}
        self.connections = 0
        self.lives: Shelf[Life] = Shelf()
        self.agents: Shelf[dict[str, Any]] = Shelf()
        self._agent_regions: Shelf[str] = Shelf()
        self.general_violations: deque[dict[str, Any]] = deque(maxlen=REMEMBERED)
        self._tokens: Shelf[Token] = Shelf()
        self._resume_tokens: Shelf[str] = Shelf()
        self._refused: Shelf[float] = Shelf()
        self._failures: Shelf[deque[float]] = Shelf()
        self.adopt(scenario)

    def adopt(self, scenario: Scenario) -> None:
        """Follow another scenario, from the next connection on."""
        self.scenario = scenario
        self.connections = 0
        self.faults_left = {index: fault.times or -1 for index, fault in enumerate(scenario.fault)}
        for agent in scenario.agent:
            self.store_agent(agent.id, stored(agent), "")

    def store_agent(self, agent_id: str, session: dict[str, Any], region: str) -> None:
        """Store an agent in a region; an empty region is all of them."""
        self.agents.keep(agent_id, session, len(msgspec.json.encode(session)))
        self._agent_regions.keep(agent_id, region)

    def region_of(self, agent_id: str) -> str:
        """Return the region of a stored agent; empty is all of them."""
        return self._agent_regions.get(agent_id, "")

    def agents_in(self, region: str) -> dict[str, dict[str, Any]]:
        """Return the agents that a session in this region finds (1.1)."""
        return {key: agent for key, agent in self.agents.items() if self.region_of(key) in ("", region)}

    # --- credentials

    def admit(self, authorization: str | None, query_token: str | None, host: str, now_s: float) -> Admission:
        """Look at what a connection brought; `how` is None when it is refused."""
        if self.scenario.door.refuse_credentials:
            return Admission(None)
        return replace(self._admit(authorization, query_token, now_s), region=region_of_host(host))

    def _admit(self, authorization: str | None, query_token: str | None, now_s: float) -> Admission:
        if query_token is not None:
            if query_token == self.key:
                return Admission(Credential.KEY_IN_URL)
            return self._admit_token(query_token, now_s)
        if authorization is None:
            return Admission(None)
        scheme, _, rest = authorization.partition(" ")
        secret = rest.strip() if scheme.lower() == "bearer" else authorization.strip()
        if secret == self.key:
            return Admission(Credential.KEY if scheme.lower() == "bearer" else Credential.RAW_KEY)
        if secret in self._resume_tokens:
            return Admission(Credential.RESUME_TOKEN, self._resume_tokens[secret])
        return self._admit_token(secret, now_s)

    def _admit_token(self, secret: str, now_s: float) -> Admission:
        token = self._tokens.get(secret)
        if token is None or now_s > token.expires_s:
            return Admission(None)
        if token.used and not self.scenario.door.reuse_tokens:
            return Admission(None)
        token.used = True
        return Admission(Credential.TOKEN, cap_s=token.cap_s)

    def make_token(self, expires_in_s: float, cap_s: float | None, now_s: float) -> str:
        """Make a temporary token (1.3)."""
        secret = self.ids.token()
        self._tokens.keep(secret, Token(now_s + expires_in_s, cap_s))
        return secret

    def make_resume_token(self, session_id: str) -> str:
        """Make the token of one `session.ready`."""
        if not self.scenario.ready.resume_token:
            return ""
        secret = self.ids.token(64)
        self._resume_tokens.keep(secret, session_id)
        return secret

    def refused(self, secret: str, now_s: float) -> str | None:
        """Note a refused credential; return what breaks rule 8 in it, if anything."""
        last_s = self._refused.get(secret)
        self._refused.keep(secret, now_s)
        if last_s is not None and now_s - last_s < 60:
            return "the same refused credential was tried again within 60 s"
        return None

    def failed(self, caller: str, wall_s: float) -> str | None:
        """Note a caller's connection that ended before `session.ready`; return what breaks rule 8 in it."""
        failures = self._failures.get(caller) or deque(maxlen=4)
        failures.append(wall_s)
        self._failures.keep(caller, failures)
        if len(failures) == 4 and wall_s - failures[0] < 1.0:
            return "four failed connections within 1 s: no back-off"
        return None

    # --- sessions

    def remember(self, life: Life, config: dict[str, Any]) -> None:
        """Remember a session, and what it is configured as now."""
        life.config = config
        for gone in self.lives.keep(life.session_id, life, len(msgspec.json.encode(config))):
            gone.session = gone.config = None

    def occupied(self, now_s: float) -> int:
        """Return how many sessions count against concurrency: open, or un-ended in their grace window."""
        grace_s = self.scenario.lifecycle.grace_s
        return sum(
            life.state == "live" or (life.state == "dropped" and now_s - life.dropped_s < grace_s)
            for life in self.lives.values()
        )

    def sweep(self, now_s: float) -> None:
        """Let go of sessions whose grace window is over."""
        for life in self.lives.values():
            if life.state == "dropped" and now_s - life.dropped_s >= self.scenario.lifecycle.grace_s:
                life.state, life.session = "expired", None


def region_of_host(host: str) -> str:
    """Return the cluster that a host name leads to: agents.eu.… is eu, all others us (1.1)."""
    return "eu" if host.startswith("agents.eu.") else "us"


def stored(agent: StoredAgent) -> dict[str, Any]:
    """Return a stored agent in the form that `session.update` would have."""
    session: dict[str, Any] = {
        "system_prompt": agent.system_prompt,
        "output": {"voice": agent.voice},
        "tools": list(agent.tools),
    }
    if agent.greeting is not None:
        session["greeting"] = agent.greeting
    return session


def check_stored(agent: StoredAgent) -> None:
    """Raise ConfigError when no session could be made of a scenario's agent."""
    try:
        check(stored(agent))
    except Refused as refused:
        raise ConfigError(f"the scenario's [[agent]] {agent.id!r}: {refused.message}") from refused
