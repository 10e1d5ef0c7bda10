"""What a process uses, as the kernel counts it: processor time and wake-ups, thread by thread."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Thread:
    """One thread's counts since it began."""

    name: str
    cpu_s: float
    # Times it went to sleep by itself, and so was woken up.
    wakeups: int


@dataclass(frozen=True, slots=True)
class Usage:
    """What was used in a time, in all and by the threads that were there all along."""

    seconds: float
    cpu_ms_per_s: float
    wakeups_per_s: float
    threads: dict[str, tuple[float, float]]


Snapshot = dict[int, Thread]


def snapshot(pid: int) -> Snapshot:
    """Return the counts of every thread of a process, in the order in which they were begun."""
    threads = {}
    for task in sorted(Path(f"/proc/{pid}/task").iterdir(), key=lambda path: int(path.name)):
        try:
            cpu_ns = int((task / "schedstat").read_text().split()[0])
            status = (task / "status").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        wakeups = int(status.partition("\nvoluntary_ctxt_switches:")[2].split()[0])
        threads[int(task.name)] = Thread(status.partition("\n")[0].partition("\t")[2], cpu_ns / 1e9, wakeups)
    return threads


def between(before: Snapshot, after: Snapshot, seconds: float, names: dict[int, str] | None = None) -> Usage:
    """Return what was used between two snapshots; threads of the same name count together."""
    threads: dict[str, tuple[float, float]] = {}
    for tid, now in after.items():
        then = before.get(tid, Thread("", 0.0, 0))
        name = (names or {}).get(tid, now.name)
        cpu, wakeups = threads.get(name, (0.0, 0.0))
        threads[name] = (
            cpu + (now.cpu_s - then.cpu_s) * 1e3 / seconds,
            wakeups + (now.wakeups - then.wakeups) / seconds,
        )
    cpu, wakeups = (sum(column) for column in zip(*threads.values(), strict=True))
    return Usage(seconds, cpu, wakeups, threads)


def memory_kb(pid: int) -> dict[str, int]:
    """Return VmRSS and RssAnon of a process, in KiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    values = dict(line.split(":", 1) for line in lines if ":" in line)
    return {key: int(values[key].split()[0]) for key in ("VmRSS", "RssAnon")}
