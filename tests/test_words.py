"""Numbers and lists in words."""

from nar.text_format import counted, duration, listed


def test_a_count_has_its_noun_in_the_right_number():
    assert [counted(n, "run") for n in (0, 1, 2, 2000)] == ["0 runs", "1 run", "2 runs", "2,000 runs"]
    assert counted(2, "process", "processes") == "2 processes"


def test_a_long_list_ends_in_how_many_are_left_out():
    assert [listed("abc"[:n]) for n in range(4)] == ["", "a", "a and b", "a, b and c"]
    assert listed("abcde", most=3) == "a, b and 3 more"
    assert listed(["gat, heads=4", "mpnn", "pgn"]) == "gat, heads=4; mpnn and pgn"  # commas of its own


def test_durations_are_read_at_a_glance():
    found = [duration(seconds) for seconds in (0.2, 59.4, 60, 62, 3725)]
    assert found == ["0 s", "59 s", "1 min 0 s", "1 min 2 s", "1 h 2 min"]
