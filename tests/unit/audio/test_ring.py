"""The ring: what every reader gets is what was written, or a count of what it missed."""

import sys
import threading
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule
from numpy.typing import NDArray

from voicekiosk.audio.ring import GUARD_FRAMES, Reader, Ring


def counted(start: int, frames: int) -> NDArray[np.int16]:
    """Frames whose values are their own positions: a lost, doubled or torn one shows."""
    return (np.arange(start, start + frames) & 0xFFFF).astype(np.uint16).view(np.int16)


class Switchboard:
    """Counts calls of a ring's `wake`."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> None:
        self.calls += 1


# -- one thread: the ring against a list ------------------------------------------------------------------


class RingBesideAList(RuleBasedStateMachine):
    """The ring does what a list that is never shortened would do."""

    readers = Bundle("readers")

    @initialize(capacity=st.integers(1, 50), guard=st.integers(0, 20))
    def begin(self, capacity: int, guard: int) -> None:
        self.switchboard = Switchboard()
        self.ring = Ring(capacity, self.switchboard, guard_frames=guard)
        self.all: list[int] = []
        self.positions: dict[Reader, int] = {}
        self.wishes: dict[Reader, int] = {}
        self.wakeups = 0

    def written(self, values: list[int]) -> None:
        before = len(self.all)
        self.all += values
        if any(before < wish <= len(self.all) for wish in self.wishes.values()):
            self.wakeups += 1

    @rule(values=st.lists(st.integers(-32768, 32767), max_size=150))
    def write(self, values: list[int]) -> None:
        self.ring.write(np.array(values, np.int16))
        self.written(values)

    @rule(frames=st.integers(0, 200))
    def write_silence(self, frames: int) -> None:
        self.ring.write_silence(frames)
        self.written([0] * frames)

    @rule(target=readers, back=st.none() | st.integers(-20, 200))
    def add_reader(self, back: int | None) -> Reader:
        start = None if back is None else len(self.all) - back
        reader = self.ring.reader(start)
        self.positions[reader] = len(self.all) if start is None else max(start, 0)
        return reader

    @rule(reader=readers, position=st.integers(-5, 300))
    def seek(self, reader: Reader, position: int) -> None:
        reader.seek(position)
        self.positions[reader] = max(position, 0)

    @rule(reader=readers, ahead=st.none() | st.integers(-50, 100))
    def wake_at(self, reader: Reader, ahead: int | None) -> None:
        if ahead is None:
            reader.wake_at(None)
            self.wishes.pop(reader, None)
        else:
            reader.wake_at(len(self.all) + ahead)
            self.wishes[reader] = len(self.all) + ahead
            self.wakeups += ahead <= 0

    def expected(self, reader: Reader, most: int | None) -> tuple[int, list[int]]:
        position = self.positions[reader]
        start = max(position, len(self.all) - self.ring.capacity_frames)
        samples = self.all[start:] if most is None else self.all[start : start + most]
        self.positions[reader] = start + len(samples)
        return start - position, samples

    @rule(reader=readers, most=st.none() | st.integers(0, 80))
    def read(self, reader: Reader, most: int | None) -> None:
        missed, samples = reader.read(most)
        assert (missed, samples.tolist()) == self.expected(reader, most)

    @rule(reader=readers, room=st.integers(0, 80))
    def read_into(self, reader: Reader, room: int) -> None:
        out = np.full(room, 77, np.int16)
        missed, frames = reader.read_into(out)
        assert (missed, out[:frames].tolist()) == self.expected(reader, room)
        assert (out[frames:] == 77).all()

    @invariant()
    def everything_is_where_the_list_has_it(self) -> None:
        assert self.ring.written == len(self.all)
        assert self.switchboard.calls == self.wakeups
        for reader, position in self.positions.items():
            assert reader.position == position
            assert reader.available == max(0, min(len(self.all) - position, self.ring.capacity_frames))


TestRingBesideAList = RingBesideAList.TestCase
TestRingBesideAList.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_a_reader_from_now_gets_only_what_comes() -> None:
    ring = Ring(100)
    ring.write(counted(0, 50))
    reader = ring.reader()
    assert reader.available == 0
    ring.write(counted(50, 10))
    missed, samples = reader.read()
    assert (missed, samples.tolist()) == (0, list(range(50, 60)))


def test_a_reader_from_300_ms_ago_begins_there() -> None:
    ring = Ring(48_000)
    ring.write(counted(0, 20_000))
    reader = ring.reader(ring.written - 300 * 48)
    assert reader.read(1).samples.tolist() == counted(20_000 - 14_400, 1).tolist()


def test_a_reader_from_before_the_first_frame_misses_nothing() -> None:
    ring = Ring(100)
    ring.write(counted(0, 10))
    missed, samples = ring.reader(ring.written - 60).read()
    assert (missed, len(samples)) == (0, 10)


def test_a_reader_in_the_future_waits_until_its_frame_is_there() -> None:
    ring = Ring(100)
    reader = ring.reader(15)
    ring.write(counted(0, 10))
    assert reader.available == 0
    assert reader.read().samples.tolist() == []
    ring.write(counted(10, 10))
    assert reader.read().samples.tolist() == [15, 16, 17, 18, 19]


def test_what_was_read_stays_when_the_ring_goes_round() -> None:
    ring = Ring(10, guard_frames=0)
    reader = ring.reader()
    ring.write(counted(0, 10))
    samples = reader.read().samples
    ring.write(counted(10, 10))
    assert samples.tolist() == list(range(10))


def test_a_whole_day_of_silence_moves_the_positions_by_a_day() -> None:
    ring = Ring(480)
    reader = ring.reader()
    ring.write(counted(0, 480))
    ring.write_silence(86_400 * 48_000)
    missed, samples = reader.read()
    assert missed == 86_400 * 48_000
    assert ring.written == 480 + 86_400 * 48_000
    assert not samples.any()
    assert len(samples) == 480


def test_a_write_within_the_guard_takes_nothing_from_a_reader_that_is_copying() -> None:
    ring = Ring(1000)
    ring.write(counted(0, 1000))
    reader = ring.reader(0)
    overtake(ring, by=GUARD_FRAMES)
    missed, samples = reader.read()
    assert missed == 0
    assert (samples == counted(0, 1000)).all()


def test_a_reader_that_is_overtaken_while_it_copies_gives_only_what_is_whole() -> None:
    ring = Ring(1000, guard_frames=24)
    ring.write(counted(0, 1000))
    reader = ring.reader(0)
    overtake(ring, by=300)
    missed, samples = reader.read()
    assert missed == 300 - 24
    assert (samples == counted(276, 724)).all()
    assert reader.position == 1000
    assert reader.statistics().missed_frames == 276


def test_a_reader_that_loses_its_whole_copy_goes_on_at_the_oldest_frame() -> None:
    ring = Ring(1000, guard_frames=0)
    ring.write(counted(0, 1000))
    reader = ring.reader(0)
    overtake(ring, by=1500)
    missed, samples = reader.read()
    assert (missed, len(samples)) == (1500, 0)
    assert reader.position == 1500
    missed, samples = reader.read()
    assert missed == 0
    assert (samples == counted(1500, 1000)).all()


def overtake(ring: Ring, by: int) -> None:
    """Make the writer write `by` frames in the middle of the next reader's copy."""

    class Meddled(np.ndarray):  # type: ignore[type-arg]
        def __getitem__(self, key: object) -> NDArray[np.int16]:
            if ring._data is self:
                ring._data = self.view(np.ndarray)
                ring.write(counted(ring.written, by))
            return self.view(np.ndarray)[key]  # type: ignore[index, return-value]

    ring._data = ring._data.view(Meddled)


# -- waking -----------------------------------------------------------------------------------------------


def test_nobody_is_woken_who_did_not_ask() -> None:
    switchboard = Switchboard()
    ring = Ring(100, switchboard)
    ring.reader()
    ring.write(counted(0, 50))
    assert switchboard.calls == 0


def test_a_wish_is_fulfilled_once_in_the_write_that_reaches_it() -> None:
    switchboard = Switchboard()
    ring = Ring(100, switchboard)
    ring.reader().wake_at(25)
    calls = []
    for _ in range(5):
        ring.write(counted(0, 10))
        calls.append(switchboard.calls)
    assert calls == [0, 0, 1, 1, 1]
    assert ring.statistics().wakeups == 1


def test_a_wish_for_what_is_there_wakes_at_once() -> None:
    switchboard = Switchboard()
    ring = Ring(100, switchboard)
    ring.write(counted(0, 10))
    ring.reader().wake_at(10)
    assert switchboard.calls == 1


def test_a_wish_taken_back_wakes_nobody() -> None:
    switchboard = Switchboard()
    ring = Ring(100, switchboard)
    reader = ring.reader()
    reader.wake_at(5)
    reader.wake_at(None)
    reader.wake_at(None)
    ring.write(counted(0, 10))
    assert switchboard.calls == 0


def test_two_readers_whose_wishes_come_true_together_are_woken_once() -> None:
    switchboard = Switchboard()
    ring = Ring(100, switchboard)
    ring.reader().wake_at(5)
    ring.reader().wake_at(8)
    ring.reader().wake_at(50)
    ring.write(counted(0, 10))
    assert switchboard.calls == 1


def test_a_wish_renewed_while_the_writer_wakes_is_not_wiped_out() -> None:
    ring: Ring
    positions: list[int] = []

    def woken() -> None:
        positions.append(ring.written)
        reader.wake_at(ring.written + 10)

    ring = Ring(100, woken)
    reader = ring.reader()
    reader.wake_at(10)
    for _ in range(4):
        ring.write(counted(0, 10))
    assert positions == [10, 20, 30, 40]


@pytest.mark.parametrize("moment", ["before the wish is stored", "after the wish is stored"])
def test_a_write_that_slips_in_while_the_wish_is_made_wakes(moment: str) -> None:
    switchboard = Switchboard()
    ring = Ring(100, switchboard)

    class Wishes(dict[int, int]):
        def __setitem__(self, key: int, value: int) -> None:
            if moment == "before the wish is stored":
                ring.write(counted(0, 10))
            super().__setitem__(key, value)
            if moment == "after the wish is stored":
                ring.write(counted(0, 10))

    ring._wishes = Wishes()
    ring.reader().wake_at(10)
    assert switchboard.calls >= 1


@pytest.mark.parametrize("moment", ["before the writer looks", "after the writer looked"])
def test_a_wish_that_slips_into_a_write_wakes(moment: str) -> None:
    switchboard = Switchboard()
    ring = Ring(100, switchboard)
    reader = ring.reader()

    class Wishes(dict[int, int]):
        def __bool__(self) -> bool:
            if moment == "before the writer looks":
                reader.wake_at(10)
            seen = len(self) > 0
            if moment == "after the writer looked":
                reader.wake_at(10)
            return seen

    ring._wishes = Wishes()
    ring.write(counted(0, 10))
    assert switchboard.calls >= 1


# -- statistics and refusals ------------------------------------------------------------------------------


def test_statistics_say_how_close_a_reader_came_to_being_overtaken() -> None:
    ring = Ring(100)
    reader = ring.reader()
    ring.write(counted(0, 70))
    reader.read()
    ring.write(counted(70, 20))
    reader.read(5)
    seen = reader.statistics()
    assert (seen.read_frames, seen.missed_frames, seen.peak_available_frames) == (75, 0, 70)
    assert ring.statistics().written_frames == 90
    assert ring.statistics().capacity_frames == 100


def test_a_ring_without_room_is_refused() -> None:
    with pytest.raises(ValueError, match="1 frame or more"):
        Ring(0)
    with pytest.raises(ValueError, match="1 frame or more"):
        Ring(10, guard_frames=-1)


def test_a_ring_and_its_reader_say_where_they_are() -> None:
    ring = Ring(100)
    ring.write(counted(0, 7))
    assert repr(ring.reader()) == "<Reader at 7 of <Ring of 100 frames, 7 written>>"


# -- two threads and more ---------------------------------------------------------------------------------


@pytest.fixture
def quick_switches() -> Iterator[None]:
    """Let threads take the interpreter from each other as often as it can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def follow(
    ring: Ring, until: int, most: int | None, findings: list[str], totals: list[tuple[int, int]]
) -> None:
    """Read to `until`, and check every single sample and every count."""
    reader = ring.reader(0)
    out = np.empty(most or ring.capacity_frames, np.int16)
    read = missed = 0
    while reader.position < until:
        position = reader.position
        lost, frames = reader.read_into(out)
        begin = position + lost
        if lost < 0 or reader.position != begin + frames:
            findings.append(f"at {position}: {lost} lost and {frames} read lead to {reader.position}")
            return
        if not np.array_equal(out[:frames], counted(begin, frames)):
            findings.append(f"at {begin}: the {frames} samples are not those that were written there")
            return
        read += frames
        missed += lost
    totals.append((read, missed))


@pytest.mark.usefixtures("quick_switches")
@pytest.mark.parametrize(
    ("capacity", "guard", "block", "most"),
    [
        # numpy lets go of the interpreter above 500 elements, so these copies run side by side.
        pytest.param(4_001, 0, 1_500, None, id="slow readers, overtaken in mid-copy"),
        pytest.param(20_011, 0, 700, 3_000, id="readers about as fast as the writer"),
        pytest.param(50_021, 8_192, 97, 40_000, id="readers faster than the writer"),
        pytest.param(1_009, 128, 5_003, 400, id="blocks longer than the ring"),
    ],
)
def test_every_sample_survives_a_writer_and_three_readers_at_once(
    capacity: int, guard: int, block: int, most: int | None
) -> None:
    ring = Ring(capacity, guard_frames=guard)
    until = block * 4_000
    findings: list[str] = []
    totals: list[tuple[int, int]] = []
    readers = [
        threading.Thread(target=follow, args=(ring, until, frames, findings, totals), daemon=True)
        for frames in (most, None, 1_000)
    ]
    for thread in readers:
        thread.start()
    values = counted(0, 65_536 + block)
    for _ in range(4_000):
        start = ring.written & 0xFFFF
        ring.write(values[start : start + block])
    for thread in readers:
        thread.join(60)
    assert findings == []
    assert len(totals) == len(readers)
    assert all(read + missed == until for read, missed in totals)


@pytest.mark.usefixtures("quick_switches")
def test_a_reader_that_sleeps_until_woken_is_woken_for_every_wish() -> None:
    bell = threading.Event()
    ring = Ring(10_007, bell.set)
    reader = ring.reader()
    rounds = 3_000
    drowsy = threading.Event()
    stuck: list[int] = []

    def sleep_and_read() -> None:
        while reader.position < rounds * 10:
            bell.clear()
            drowsy.set()
            reader.wake_at(reader.position + 10)
            if not bell.wait(20):
                stuck.append(reader.position)
                return
            reader.read()

    sleeper = threading.Thread(target=sleep_and_read, daemon=True)
    sleeper.start()
    for _ in range(rounds):
        drowsy.wait(20)
        drowsy.clear()
        ring.write(counted(0, 10))
    sleeper.join(60)
    assert stuck == []
    assert reader.position == rounds * 10


@given(st.lists(st.integers(0, 3_000), max_size=30), st.lists(st.integers(1, 3_000), min_size=1, max_size=30))
@settings(max_examples=50, deadline=None)
def test_read_in_any_pieces_what_was_written_in_any_pieces_is_the_same(
    writes: list[int], reads: list[int]
) -> None:
    ring = Ring(sum(writes) + 1)
    reader = ring.reader()
    for frames in writes:
        ring.write(counted(ring.written, frames))
    pieces = [reader.read(frames).samples for frames in reads] + [reader.read().samples]
    assert np.array_equal(np.concatenate(pieces), counted(0, sum(writes)))


# -- a writer that sleeps -----------------------------------------------------------------------------------


def test_a_writer_sleeps_until_the_earliest_wish_that_is_to_come() -> None:
    ring = Ring(100)
    assert ring.sleep_until_wish() is None
    ring.reader().wake_at(10)
    ring.reader().wake_at(40)
    ring.write(counted(0, 20))
    assert ring.sleep_until_wish() == 40


def test_a_wish_before_what_the_writer_sleeps_until_hurries_it() -> None:
    hurried = Switchboard()
    ring = Ring(100, hurry=hurried)
    reader = ring.reader()
    reader.wake_at(50)
    ring.sleep_until_wish()
    reader.wake_at(60)
    assert hurried.calls == 0
    reader.wake_at(30)
    assert hurried.calls == 1
    ring.wakes_up()
    reader.wake_at(20)
    assert hurried.calls == 1


def test_a_wish_that_slips_in_while_the_writer_looks_hurries_it() -> None:
    hurried = Switchboard()
    ring = Ring(100, hurry=hurried)
    reader = ring.reader()

    class Wishes(dict[int, int]):
        def values(self) -> list[int]:  # type: ignore[override]
            seen = list(super().values())
            reader.wake_at(30)
            return seen

    ring._wishes = Wishes()
    ring.sleep_until_wish()
    assert hurried.calls == 1
