"""The rules of docs/architecture.md, enforced by reading the code."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "daemon" / "voicekiosk"
MODULES = sorted(PACKAGE.rglob("*.py"))
LONGEST_MODULE = 400

# What only one room knows. The simulator is the other end of the WebSocket.
HARDWARE = {
    "alsaaudio": {"audio"},
    "gpiozero": {"panel"},
    "lgpio": {"panel"},
    "systemd": {"service"},
    "websockets": {"agent", "simulator"},
}
# Decisions: time comes in as a number, and nothing goes out but values.
PURE = {
    *(
        f"kiosk/{name}.py"
        for name in (
            *("state", "events", "machine", "turns", "overdue", "links", "utterance", "uplink", "downlink"),
            *("captions", "patience"),
        )
    ),
    *(f"kiosk/{name}.py" for name in ("recorder", "traces", "delays")),
    *(f"agent/{name}.py" for name in ("session", "turns", "ladder", "memory", "wire", "events")),
    *(f"audio/{name}.py" for name in ("ring", "resample", "levels", "reply", "timeline", "frames")),
    *(f"config/{name}.py" for name in ("schema", "diff")),
    *(f"panel/{name}.py" for name in ("gestures", "lamp", "volume", "selector")),
}
IMPURE = {"asyncio", "socket", "threading", "time", "datetime", "select", "subprocess"}


@dataclass(frozen=True)
class Import:
    """One import statement: where it stands and what it takes."""

    file: Path
    line: int
    module: str

    def __str__(self) -> str:
        return f"{self.file.relative_to(ROOT)}:{self.line}: imports {self.module}"


def room_of(file: Path) -> str:
    """Name the room a module belongs to: its folder, or its own name at the top of the package."""
    inside = file.relative_to(PACKAGE)
    return inside.parts[0] if len(inside.parts) > 1 else inside.stem


def imports(file: Path, source: str | None = None) -> Iterator[Import]:
    """Yield every import of a module, also those inside functions; relative ones made absolute."""
    package = ("voicekiosk", *file.relative_to(PACKAGE).parts[:-1])
    for node in ast.walk(ast.parse(file.read_text() if source is None else source)):
        match node:
            case ast.Import():
                for name in node.names:
                    yield Import(file, node.lineno, name.name)
            case ast.ImportFrom():
                above = package[: len(package) - node.level + 1] if node.level else ()
                base = ".".join([*above, *([node.module] if node.module else [])])
                # `from voicekiosk import audio` takes a room, `from voicekiosk.audio import x` names one.
                if base == "voicekiosk":
                    for name in node.names:
                        yield Import(file, node.lineno, f"voicekiosk.{name.name}")
                else:
                    yield Import(file, node.lineno, base)


def rooms_table() -> dict[str, set[str] | None]:
    """Read docs/architecture.md: room -> the rooms it may import; None for everything."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    table: dict[str, set[str] | None] = {}
    for names, _, may in re.findall(r"^\| (.+?) \| (.+?) \| (.+?) \|$", text, re.MULTILINE):
        rooms = [name.removesuffix(".py").removesuffix("/") for name in re.findall(r"`([^`]+)`", names)]
        if not rooms:
            continue
        if may == "everything":
            allowed = None
        elif may == "nothing of ours":
            allowed = set()
        elif may == "the seven above":
            allowed = {room for room in table if room != "kiosk"}
        else:
            allowed = set(re.findall(r"`([^`]+)`", may))
        table.update(dict.fromkeys(rooms, allowed))
    return table


def forbidden(taken: Import, table: dict[str, set[str] | None]) -> bool:
    """Whether an import goes upwards or sideways."""
    parts = taken.module.split(".")
    if parts[0] != "voicekiosk" or len(parts) == 1:
        return False
    room, target = room_of(taken.file), parts[1]
    allowed = table[room]
    is_room = (PACKAGE / target).is_dir() or (PACKAGE / f"{target}.py").exists()
    return is_room and target != room and allowed is not None and target not in allowed


def test_the_table_names_every_room_and_nothing_else():
    rooms = {room_of(module) for module in MODULES} - {"__init__", "__main__"}
    table = set(rooms_table())
    assert rooms <= table, f"not in docs/architecture.md: {sorted(rooms - table)}"
    assert table - rooms <= set(), f"in docs/architecture.md and not there: {sorted(table - rooms)}"


@pytest.mark.parametrize("module", MODULES, ids=lambda module: str(module.relative_to(PACKAGE)))
def test_a_module_imports_only_the_rooms_that_the_table_allows(module):
    if room_of(module) in {"__init__", "__main__"}:
        return
    table = rooms_table()
    assert [str(taken) for taken in imports(module) if forbidden(taken, table)] == []


@pytest.mark.parametrize("module", MODULES, ids=lambda module: str(module.relative_to(PACKAGE)))
def test_only_its_own_room_knows_a_device_or_the_protocol(module):
    strangers = [
        str(taken)
        for taken in imports(module)
        if room_of(module) not in HARDWARE.get(taken.module.split(".")[0], {room_of(module)})
    ]
    assert strangers == []


def test_the_simulator_and_the_agent_share_no_code():
    shared = {
        str(taken)
        for module in MODULES
        for taken in imports(module)
        if (room_of(module), taken.module.split(".")[1:2])
        in [("simulator", ["agent"]), ("agent", ["simulator"])]
    }
    assert shared == set()


@pytest.mark.parametrize("name", sorted(PURE))
def test_a_decision_knows_no_clock_no_socket_and_no_thread(name):
    module = PACKAGE / name
    assert module.exists(), "renamed? then rename it here, so that it stays pure"
    assert [str(taken) for taken in imports(module) if taken.module.split(".")[0] in IMPURE] == []


@pytest.mark.parametrize("module", MODULES, ids=lambda module: str(module.relative_to(PACKAGE)))
def test_a_module_can_be_read_in_one_sitting(module):
    lines = len(module.read_text().splitlines())
    assert lines <= LONGEST_MODULE, f"{lines} lines; split it where two reasons to change meet"


@pytest.mark.parametrize("module", MODULES, ids=lambda module: str(module.relative_to(PACKAGE)))
def test_only_the_command_line_prints(module):
    if room_of(module) in {"cli", "__main__"}:
        return
    prints = [
        node.lineno
        for node in ast.walk(ast.parse(module.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert prints == []


@pytest.mark.parametrize(
    ("room", "source"),
    [
        ("audio", "from voicekiosk.agent import client"),
        ("audio", "from ..kiosk import state"),
        ("audio", "from voicekiosk import panel"),
        ("audio", "import voicekiosk.cli"),
        ("config", "from voicekiosk.mailbox import Mailbox"),
        ("tools", "from voicekiosk.kiosk import state"),
        ("agent", "def late():\n    from voicekiosk.audio.ring import Ring"),
    ],
)
def test_an_import_that_goes_sideways_or_upwards_is_found(room, source):
    module = PACKAGE / room / "somewhere.py"
    assert any(forbidden(taken, rooms_table()) for taken in imports(module, source))


@pytest.mark.parametrize(
    ("room", "source"),
    [
        ("audio", "from voicekiosk.config import schema"),
        ("audio", "from .ring import Ring"),
        ("audio", "import voicekiosk"),
        ("kiosk", "from voicekiosk.panel.lamp import Sign"),
        ("cli", "from voicekiosk.simulator import server"),
    ],
)
def test_an_import_that_the_table_allows_is_let_through(room, source):
    module = PACKAGE / room / "somewhere.py"
    assert not any(forbidden(taken, rooms_table()) for taken in imports(module, source))
