from voicekiosk.doctor.verdict import exit_code, failure, ok, skipped, warning


def test_all_well_is_exit_code_0():
    assert exit_code([ok("a", ""), skipped("b", "")]) == 0


def test_a_warning_is_exit_code_1():
    assert exit_code([ok("a", ""), warning("b", "", "mend it")]) == 1


def test_the_worst_verdict_decides():
    assert exit_code([failure("a", "", "mend it"), warning("b", "", "mend it"), ok("c", "")]) == 2
