from voicekiosk.kiosk.stopwatch import Stopwatch


def test_it_adds_up_what_lies_between_starts_and_stops():
    watch = Stopwatch()
    assert watch.total_s(5.0) == 0.0
    watch.start(10.0)
    assert watch.total_s(12.0) == 2.0
    watch.stop(13.0)
    watch.stop(14.0)
    assert watch.total_s(20.0) == 3.0
    watch.start(20.0)
    watch.start(22.0)
    assert watch.total_s(25.0) == 8.0
