"""The side of the virtual Pi that needs no guest: kernels that are taken or built, results, lost guests."""

import hashlib
import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from virtualpilib import __main__, guest, host, kernel, tier
from virtualpilib.host import VirtualPiError


def test_sums_are_read_as_sha256sum_writes_them_and_other_lines_passed_over() -> None:
    text = f"{'a' * 64}  linux.uml.xz\n{'B' * 64} *modules.tar.xz\n\nnonsense\n"
    assert kernel.parse_sums(text) == {"linux.uml.xz": "a" * 64, "modules.tar.xz": "b" * 64}


def _prebuilt(folder: Path, sums: str | None = None) -> None:
    lines = []
    for name in kernel.PACKED:
        (folder / name).write_bytes(name.encode())
        lines.append(f"{hashlib.sha256(name.encode()).hexdigest()}  {name}\n")
    (folder / "SHA256SUMS").write_text("".join(lines) if sums is None else sums)


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a kernel is that was built, since none of the folder of prebuilt ones was taken."""
    folder = tmp_path / "built"
    monkeypatch.setenv(kernel.PREBUILT, str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(kernel, "need", lambda _tools: None)
    monkeypatch.setattr(kernel, "_built", lambda *, at_hand: folder)
    monkeypatch.setattr(kernel, "preload", lambda: tmp_path / "preload.so")
    return folder


def test_a_whole_prebuilt_kernel_is_taken(
    built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unpack(command: list[Any], **_: Any) -> str:
        if command[0] == "xz":
            command[2].rename(command[2].with_suffix(""))
        return ""

    _prebuilt(tmp_path)
    monkeypatch.setattr(kernel, "run", unpack)
    found = kernel.kernel()
    assert found.program.read_bytes() == b"linux.uml.xz"
    assert found.program.parent != built


@pytest.mark.parametrize(
    ("sums", "why"),
    [
        ("", "linux.uml.xz is not what SHA256SUMS says"),
        ("one-word\n", "linux.uml.xz is not what SHA256SUMS says"),
        (f"{'0' * 64}  linux.uml.xz\n", "linux.uml.xz is not what SHA256SUMS says"),
    ],
)
def test_a_prebuilt_kernel_with_other_sums_is_built_instead(
    built: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], sums: str, why: str
) -> None:
    _prebuilt(tmp_path, sums)
    assert kernel.kernel().program == built / "linux"
    said = capsys.readouterr().out
    assert why in said
    assert "Building a kernel instead" in said


def test_a_folder_without_a_kernel_is_named_and_one_is_built(
    built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(kernel.PREBUILT, str(tmp_path / "nowhere"))
    assert kernel.kernel().program == built / "linux"
    assert "cannot read SHA256SUMS there: No such file" in capsys.readouterr().out


def _told(name: str, outcome: str = "passed") -> dict[str, Any]:
    return {"kind": "test", "name": name, "outcome": outcome, "seconds": 1.0, "why": "because"}


def test_results_count_and_say_what_was_lost() -> None:
    results = tier.Results()
    assert not results.take(_told("a"))
    assert not results.take(_told("b", "failed"))
    assert not results.take({"kind": "figure", "name": "ms", "value": 3})
    assert results.take({"kind": "end"})
    assert results.last_line(9.6) == "1 passed, 1 failed in 10 s"
    assert results.lose("c")
    assert results.last_line(9.6) == "1 passed, 1 failed, 1 guests lost and replaced in 10 s"
    data = results.data(complete=True, seconds=9.61, first_test_s=None)
    assert (data["seconds"], data["first_test_s"], data["figures"]) == (9.6, None, {"ms": 3})
    assert data["guests_lost_in"] == ["c"]


def test_what_the_machine_was_too_busy_for_is_neither_passed_nor_failed() -> None:
    results = tier.Results()
    results.take(_told("a", "unjudged"))
    assert results.last_line(1.0) == "0 passed, 0 failed, 1 unjudged as the machine was too busy in 1 s"
    assert results.data(complete=True)["unjudged"] == 1


@pytest.mark.parametrize(
    ("outcomes", "code"),
    [
        (["passed", "passed"], 0),
        (["passed", "unjudged"], tier.UNJUDGED),
        (["unjudged"], tier.UNJUDGED),
        (["passed", "unjudged", "failed"], 1),
        ([], 1),
    ],
)
def test_a_run_passes_only_whole_and_tests_without_a_verdict_are_another_exit_code(
    outcomes: list[str], code: int
) -> None:
    results = tier.Results()
    for number, outcome in enumerate(outcomes):
        results.take(_told(str(number), outcome))
    assert results.exit_code == code


def test_a_test_that_loses_two_guests_has_failed_and_the_rest_goes_on() -> None:
    results = tier.Results()
    assert results.lose("a")
    assert results.done == []
    assert results.lose("a")
    assert (results.done, results.count("failed")) == (["a"], 1)


def test_a_guest_that_is_lost_after_a_verdict_does_not_change_it() -> None:
    results = tier.Results()
    results.take(_told("a"))
    assert results.lose("a")
    assert results.lose("a")
    assert (results.count("passed"), results.count("failed")) == (1, 0)


def test_guests_that_never_come_up_and_too_many_lost_ones_are_the_end() -> None:
    results = tier.Results()
    assert results.lose(tier.BOOTING)
    assert not results.lose(tier.BOOTING)
    results = tier.Results()
    assert all(results.lose(str(number)) for number in range(tier.MOST_LOST))
    assert not results.lose("one more")


def test_a_boot_may_take_longer_than_a_sign_of_life() -> None:
    patience = tier.Patience(boot_s=100, run_s=10)
    assert not patience.is_over(99, booted=False)
    assert patience.is_over(101, booted=False)
    assert patience.is_over(11, booted=True)
    assert not patience.is_over(9, booted=True)


def test_the_results_are_written_when_it_comes_to_no_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*, at_hand: bool) -> kernel.Kernel:
        raise KeyboardInterrupt

    monkeypatch.setattr(tier, "kernel", interrupt)
    file = tmp_path / "v.json"
    with pytest.raises(KeyboardInterrupt):
        tier.test(tier.Wanted(json_file=file))
    assert '"complete": false' in file.read_text()


def test_a_small_shm_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(command: list[Any], **_: Any) -> str:
        raise VirtualPiError(command[0])

    monkeypatch.setattr(guest, "MEMORY_FILES", tmp_path)
    monkeypatch.setattr(guest, "run", refuse)
    monkeypatch.setattr(guest, "_free_bytes", lambda _folder: 64 << 20)
    with guest.memory() as folder:
        assert folder.is_dir()
        assert tmp_path not in folder.parents
    monkeypatch.setattr(guest, "_free_bytes", lambda _folder: 64 << 30)
    with guest.memory() as folder:
        assert folder.parent == tmp_path


def test_without_memory_for_the_guests_nothing_is_tested(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(command: list[Any], **_: Any) -> str:
        raise VirtualPiError(f"{command[0]} is not permitted")

    monkeypatch.setattr(guest, "MEMORY_FILES", tmp_path)
    monkeypatch.setattr(guest, "run", refuse)
    monkeypatch.setattr(guest, "_free_bytes", lambda _folder: 64 << 20)
    assert command("test") == host.CANNOT
    assert "mount is not permitted" in capsys.readouterr().err


def test_a_kernel_that_has_to_be_at_hand_is_not_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(kernel.PREBUILT, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(host.UnsuitableError, match="no kernel is at hand") as raised:
        kernel.kernel(at_hand=True)
    assert host.fail(raised.value) == host.CANNOT
    assert kernel.PREBUILT in capsys.readouterr().err


def test_tools_cannot_be_installed_where_there_is_no_apt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host.shutil, "which", lambda _tool: None)
    with pytest.raises(host.UnsuitableError, match="flex-package"):
        host.need({"flex": "flex-package"})


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Give a function that runs the command line as root, where nothing may be built."""

    def build(*, at_hand: bool = False) -> kernel.Kernel:
        raise AssertionError("it was to fail before anything is built")

    def call(*words: str, machine: str = "x86_64") -> int:
        monkeypatch.setattr("sys.argv", ["virtual-pi", *words])
        monkeypatch.setattr(__main__.platform, "machine", lambda: machine)
        return __main__.main()

    monkeypatch.setattr(__main__, "kernel", build)
    monkeypatch.setattr(tier, "kernel", build)
    monkeypatch.setattr(__main__.host, "need_root", lambda: None)
    monkeypatch.setattr(__main__.signal, "signal", lambda *_: None)
    return call


def test_bad_input_is_refused_before_anything_is_built(
    command: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("run", str(tmp_path / "missing.toml")) == 1
    assert "missing.toml" in capsys.readouterr().err
    latin = tmp_path / "latin.toml"
    latin.write_bytes(b'name = "caf\xe9"\n')
    assert command("run", str(latin)) == 1
    assert "latin.toml is no text in UTF-8" in capsys.readouterr().err
    assert command("test", "--json", str(tmp_path / "nowhere" / "v.json")) == 1
    assert "nowhere/v.json" in capsys.readouterr().err
    for number in ("0", "-1", "two"):
        with pytest.raises(SystemExit):
            command("test", f"--guests={number}")


def test_another_processor_is_refused_in_one_sentence(
    command: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("build", machine="aarch64") == host.CANNOT
    said = capsys.readouterr().err
    assert said == "virtual-pi: the guest's kernel runs on x86_64 only, and this machine is aarch64\n"


def test_a_test_that_is_put_back_can_be_taken_again(tmp_path: Path) -> None:
    name = "test_network.py::test_a_wire[rate 1 Mbit/s]"
    taken = tmp_path / quote(name, safe="")
    taken.mkdir()
    assert tier.taken_from(tmp_path) == {name}
    tier.put_back(tmp_path, [name, "test_never_taken"])
    assert tier.taken_from(tmp_path) == set()


def test_each_guest_keeps_to_a_processor_of_its_own_as_long_as_there_are_any(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {5, 2})
    assert [guest.processor(number) for number in range(4)] == [2, 5, 2, 5]
