"""Key, way to the service, configuration, unit and daemon."""

import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

from voicekiosk.agent.events import Cause
from voicekiosk.agent.probe import Knock
from voicekiosk.doctor.verdict import Verdict, failure, ok, skipped, warning

_FIXES = {
    Cause.DNS: "is the network up (ip address), and does it name a server for names (resolvectl status)?",
    Cause.TLS: "a proxy that looks into TLS needs its certificate in network.ca_file",
    Cause.CLOCK: "set the clock, see above",
    Cause.KEY: "set another: sudo voicekiosk key set",
    Cause.CAPTIVE_PORTAL: "log in to this network with a browser, or use another network",
    Cause.PROXY: "see network.proxy",
    Cause.CONFIG: "see agent.url, agent.region and network.* in the configuration",
    Cause.CAPACITY: "wait; it is the service, or too many kiosks on one account",
}
_OTHER_FIX = "is there a way to the Internet, and does a firewall let port 443 out?"


def judge_key(source: str, problem: str) -> Verdict:
    """Judge whether there is an API key; what it is worth, the service says."""
    if source == "unknown":
        return skipped("API key", "only root can see it: sudo voicekiosk doctor")
    if source == "none":
        return failure("API key", problem or "there is none", "sudo voicekiosk key set")
    return ok("API key", f"there is one (from {source})")


def judge_knock(knock: Knock, *, has_key: bool) -> list[Verdict]:
    """Judge the way to the service step by step; without a key, one that nobody has was tried."""
    steps = ("name resolution", "connection and TLS", "handshake")
    bad = knock.failure
    if bad is not None and bad.cause is Cause.KEY and not has_key and knock.stage == "done":
        told = ok("handshake", f"{knock.host} asks for a key, as it should")
        return [*(ok(step, _well(step, knock)) for step in steps[:2]), told]
    if bad is None:
        return [ok(step, _well(step, knock)) for step in steps]
    failed = _failed_step(knock.stage, bad.cause)
    return [
        *(ok(step, _well(step, knock)) for step in steps[:failed]),
        failure(steps[failed], bad.detail, _FIXES.get(bad.cause, _OTHER_FIX)),
        *(skipped(step, "not reached") for step in steps[failed + 1 :]),
    ]


def _failed_step(stage: str, cause: Cause) -> int:
    match stage:
        case "reading the address" | "looking up the name":
            return 0
        case "connecting" | "waiting for the proxy":
            return 1
        case _:
            return 1 if cause in (Cause.TLS, Cause.CLOCK) else 2


def _well(name: str, knock: Knock) -> str:
    match name:
        case "name resolution":
            return f"{knock.host} has an address"
        case "handshake":
            return (
                f"{knock.host} let us in after {1000 * knock.took_s:.0f} ms; no session was opened "
                f"(the socket was open for {knock.open_s:.1f} s)"
            )
        case _:
            return f"{knock.host} answers"


def judge_config(file: str, problems: Sequence[str], warnings: Sequence[str]) -> Verdict:
    """Judge the configuration file."""
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        return failure("configuration", f"{problems[0]}{more}", f"voicekiosk check {file}")
    if warnings:
        return warning("configuration", warnings[0], f"voicekiosk check {file}")
    return ok("configuration", file)


def judge_unit(unit: Mapping[str, str] | None) -> Verdict:
    """Judge the systemd unit; None where there is no systemd, or no unit."""
    if unit is None or unit.get("LoadState") == "not-found":
        return skipped("service", "not installed as a service")
    state = f"{unit.get('ActiveState', '?')} ({unit.get('SubState', '?')})"
    restarts = int(unit.get("NRestarts") or 0)
    if unit.get("ActiveState") != "active":
        return failure(
            "service",
            f"{state}, last result {unit.get('Result', '?')}",
            "sudo systemctl restart voicekiosk; why it stopped: journalctl -u voicekiosk -e",
        )
    if unit.get("UnitFileState") not in ("enabled", "enabled-runtime"):
        return warning("service", f"{state}, not started at boot", "sudo systemctl enable voicekiosk")
    if restarts:
        fix = "journalctl -u voicekiosk -p warning"
        return warning("service", f"{state}, restarted by itself {restarts} times since it was started", fix)
    return ok("service", state)


def judge_daemon(status: Mapping[str, Any] | None, version: str) -> Verdict:
    """Judge what the running daemon says of itself."""
    if status is None:
        return skipped("daemon", "not running; devices are tried directly")
    running = status.get("versions", {}).get("voicekiosk", "unknown")
    text = f"{status.get('state', '?')}, version {running}"
    if running != version:
        return warning("daemon", f"{text}; this command is {version}", "sudo systemctl restart voicekiosk")
    if status.get("state") == "fault":
        return failure(
            "daemon", f"{text}: {status.get('reason', '')}", "see the links above; voicekiosk status"
        )
    if status.get("muted"):
        return warning("daemon", f"{text}: muted", "voicekiosk unmute")
    return ok("daemon", text)


def judge_panel(panel: Mapping[str, Any], *, waited_s: float) -> list[Verdict]:
    """Judge button and lamp by a panel's facts: driver, device, faults, notes, edges."""
    driver, device = panel.get("driver", "?"), panel.get("device", "")
    if driver in ("none", "keyboard"):
        return [skipped("button and lamp", f"driver {driver}: there are no pins to look at")]
    if faults := panel.get("faults"):
        return [failure("button and lamp", fault, "docs/wiring.md") for fault in faults]
    verdicts = [warning("button", note, "docs/wiring.md") for note in panel.get("notes", ())]
    edges = int(panel.get("edges", 0))
    if not verdicts:
        if edges:
            verdicts = [ok("button", f"{edges} edges seen ({device})")]
        elif waited_s >= 1:
            verdicts = [
                failure(
                    "button", f"no edge within {waited_s:.0f} s ({device})", "check the wire: docs/wiring.md"
                )
            ]
        else:
            verdicts = [ok("button", f"{device}; not pressed yet. To try it: voicekiosk doctor --press")]
    return [*verdicts, ok("lamp", device)]


def unit_state() -> dict[str, str] | None:
    """Ask systemd about the unit."""
    wanted = "LoadState,ActiveState,SubState,Result,NRestarts,UnitFileState,MainPID"
    try:
        answer = subprocess.run(
            ["systemctl", "show", "voicekiosk", f"--property={wanted}"],
            capture_output=True, text=True, timeout=5, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return dict(line.split("=", 1) for line in answer.stdout.splitlines() if "=" in line)
