"""What cannot work in a `[[tools]]`: names, schemas, commands and the settings of built-in tools."""

import ipaddress
import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from voicekiosk.config import jsonschema, wording
from voicekiosk.config.positions import Path
from voicekiosk.config.problems import Finding, Severity
from voicekiosk.config.schema import Config, Tool
from voicekiosk.config.secrets import url_holds_a_secret

NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
RESERVED = ("aai_credit_card_luhn_check", "aai_pre_connect_context")
MOST_TOOLS = 10
"""How many the service recommends at most (protocol §2.1)."""
CONFIRM_S = 45.0
"""How long a confirmation can take in all: asking, and waiting for the tap."""
SPEECH_S = 30.0
"""How long a result may have to wait until the agent has finished its sentence."""
LONGEST_S = 300.0

_UNIT = re.compile(r"[A-Za-z0-9:_.\\@-]+\.(service|target|timer|path|socket|mount)")
_BELONGS = {
    "output_gpio": "gpio",
    "output_active_high": "gpio",
    "pulse_s": "gpio",
    "units": "unit",
    "url": "http",
}


def timeout_seconds(tool: Tool) -> float:
    """Return what the service is told: longer than the tool can take here (checklist 34)."""
    return tool.timeout_s + (CONFIRM_S if tool.confirm else 0.0) + SPEECH_S


def findings(config: Config) -> Iterator[Finding]:
    """Yield what is wrong with the tools."""
    names: dict[str, int] = {}
    for index, tool in enumerate(config.tools):
        path: Path = ("tools", index)
        first = names.setdefault(tool.name, index)
        if first != index:
            message = f"expected each name once, got {wording.quoted(tool.name)} again, after tools[{first}]"
            yield Finding(path=(*path, "name"), message=message)
        yield from _name(tool.name, (*path, "name"))
        yield from _what_runs(tool, path)
        yield from _described(tool, path)
        yield from jsonschema.findings(tool.parameters, (*path, "parameters"))
        yield from _timeout(tool, path)
        yield from _settings(tool, path)
        if tool.builtin == "persona" and not config.persona:
            yield _missing(path, "builtin", "expected a [persona.NAME] to choose from, got none")
    if config.agent.agent_id and config.tools:
        yield Finding(
            path=("agent", "agent_id"),
            message="expected no [[tools]] beside agent_id, got some",
            hint="the service is not told of them, since a stored agent has its own: give it tools of the "
            "same names there, which then run here, or remove agent_id",
            at_key=True,
            severity=Severity.WARNING,
        )
    if len(config.tools) > MOST_TOOLS:
        yield Finding(
            path=("tools", MOST_TOOLS),
            message=f"expected at most {MOST_TOOLS} tools, got {len(config.tools)}",
            hint="with more of them the agent chooses badly",
            severity=Severity.WARNING,
        )


def _name(name: str, path: Path) -> Iterator[Finding]:
    if not NAME.fullmatch(name):
        message = f"expected 1 to 64 letters, digits, _ or -, got {wording.got(name)}"
        yield Finding(path=path, message=message)
    elif name in RESERVED or name.startswith("aai_"):
        message = f"expected a name of your own, got {wording.quoted(name)}"
        yield Finding(path=path, message=message, hint="names with aai_ are the service's")


def _what_runs(tool: Tool, path: Path) -> Iterator[Finding]:
    given = [kind for kind in ("command", "builtin", "python") if getattr(tool, kind)]
    if not given:
        yield Finding(
            path=(*path, "command"),
            message="expected command, builtin or python, got none of them",
            hint='such as command = ["/usr/local/bin/weather"]',
            at_key=True,
        )
    for extra in given[1:]:
        message = f"expected one of command, builtin and python, got {given[0]} and {extra}"
        yield Finding(path=(*path, extra), message=message, hint="remove one of them", at_key=True)
    if tool.command:
        yield from _command(tool.command, (*path, "command", 0))


def _command(command: tuple[str, ...], path: Path) -> Iterator[Finding]:
    program = command[0]
    if not program or any("\0" in word for word in command):
        yield Finding(path=path, message=f"expected a program, got {wording.got(program)}")
    elif "/" in program and not program.startswith("/"):
        message = f"expected a path from / or a name, got {wording.got(program)}"
        yield Finding(path=path, message=message)
    elif " " in program:
        message = f"expected the program alone, got {wording.got(program)}"
        hint = 'there is no shell: one word each, such as ["/usr/bin/date", "+%H:%M"]'
        yield Finding(path=path, message=message, hint=hint)


def _described(tool: Tool, path: Path) -> Iterator[Finding]:
    if tool.command and not tool.description.strip():
        yield Finding(
            path=(*path, "description"),
            cause=(*path, "name"),
            message="expected a description, got none",
            hint="it is what the agent decides by when to use the tool",
            at_key=True,
            severity=Severity.WARNING,
        )
    elif tool.parameters and (tool.builtin not in ("", "http") or tool.python):
        yield Finding(
            path=(*path, "parameters"),
            message="expected no parameters beside builtin or python, got some",
            hint="they come with it",
            at_key=True,
        )


def _timeout(tool: Tool, path: Path) -> Iterator[Finding]:
    told_s = timeout_seconds(tool)
    if told_s > LONGEST_S:
        yield Finding(
            path=(*path, "timeout_s"),
            message=f"expected at most {tool.timeout_s - (told_s - LONGEST_S):g} beside confirm, "
            f"got {tool.timeout_s:g}",
            hint=f"the service waits for at most {LONGEST_S:g} s, of which asking and speaking take a part",
        )


def _settings(tool: Tool, path: Path) -> Iterator[Finding]:
    match tool.builtin:
        case "gpio" if tool.output_gpio is None:
            yield _missing(path, "output_gpio", "expected output_gpio, the BCM number of a pin, got none")
        case "gpio" if tool.pulse_s >= tool.timeout_s:
            message = f"expected less than timeout_s ({tool.timeout_s:g}), got {tool.pulse_s:g}"
            yield Finding(path=(*path, "pulse_s"), cause=(*path, "timeout_s"), message=message)
        case "unit" if not tool.units:
            yield _missing(path, "units", "expected units, the systemd units that may be started, got none")
        case "http" if not tool.url:
            yield _missing(path, "url", "expected url, got none")
        case "http":
            yield from _url(tool.url, (*path, "url"))
    for index, unit in enumerate(tool.units):
        if not _UNIT.fullmatch(unit) or unit.startswith("-"):
            message = f"expected the full name of a unit, got {wording.got(unit)}"
            yield Finding(path=(*path, "units", index), message=message, hint='such as "lights.service"')
    default = Tool(name=tool.name)
    for key, builtin in _BELONGS.items():
        if tool.builtin != builtin and getattr(tool, key) != getattr(default, key):
            yield Finding(
                path=(*path, key),
                message=f'expected builtin = "{builtin}" beside it, got {wording.quoted(tool.builtin)}',
                hint="it has no effect here",
                at_key=True,
                severity=Severity.WARNING,
            )


def _missing(path: Path, key: str, message: str) -> Finding:
    return Finding(path=(*path, key), cause=(*path, "builtin"), message=message, at_key=True)


def _url(url: str, path: Path) -> Iterator[Finding]:
    try:
        parts = urlsplit(url)
        named = bool(parts.hostname) and (parts.hostname or "").isascii()
        valid = parts.scheme == "http" and named and parts.port != 0
    except ValueError:
        valid = False
    if not valid or any(c.isspace() or not c.isprintable() for c in url):
        yield Finding(path=path, message=f"expected an address like http://HOST/PATH, got {wording.got(url)}")
    elif url_holds_a_secret(url):
        yield Finding(path=path, message="expected an address without login or token, got one (hidden)")
    elif not is_local(parts.hostname or ""):
        yield Finding(
            path=path,
            message=f"expected an address in the local network, got {wording.got(url)}",
            hint="an IP address such as 192.168.1.20, a plain name, or one that ends in .local, .lan, "
            ".internal or .home.arpa",
        )


def is_local(host: str) -> bool:
    """Return whether a host is one of the local network, as far as its name tells."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return "." not in host or host.endswith((".local", ".lan", ".internal", ".home.arpa", ".localhost"))
    return address.is_private or address.is_loopback or address.is_link_local
