"""Files of a run directory: what was there survives every failure, and what is no checkpoint is told apart."""

import errno
import json
import os
import pickle

import pytest
import torch

from nar.model import checkpoint
from nar.system import files

CONTENT = {"model": {"weight": torch.arange(6.0)}, "step": 3, "best": {"step": 3, "score": float("nan"), "loss": 1.0}}


def leftovers(folder):
    return sorted(path.name for path in folder.iterdir())


def test_round_trip(tmp_path):
    path = tmp_path / "last.pt"
    checkpoint.save(path, CONTENT)
    found = checkpoint.load(path)
    assert found["model"]["weight"].equal(torch.arange(6.0)) and found["step"] == 3
    assert found["format"] == checkpoint.FORMAT and found["made_by"] == "nar"
    files.write_json(tmp_path / "a.json", {"a": [1, None]})
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": [1, None]}
    assert leftovers(tmp_path) == ["a.json", "last.pt"]


class FullDisk:
    """A file on a disk that takes no more than `room` bytes."""

    def __init__(self, file, room):
        self.file, self.room = file, room

    def write(self, data):
        self.room -= len(data)
        if self.room < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self.file.write(data)

    def __getattr__(self, name):
        return getattr(self.file, name)


@pytest.mark.parametrize("where", ["first byte", "middle", "fsync", "replace"])
def test_a_full_disk_costs_nothing_that_was_there(tmp_path, monkeypatch, where):
    path = tmp_path / "last.pt"
    checkpoint.save(path, CONTENT)
    before = path.read_bytes()

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if where in ("fsync", "replace"):
        monkeypatch.setattr(os, where, full)
        put = None
    else:
        room = 0 if where == "first byte" else 400

        def put(file):
            torch.save({"format": 1, "made_by": "nar", **CONTENT}, FullDisk(file, room))

    with pytest.raises(OSError) as caught:
        checkpoint.save(path, {**CONTENT, "step": 4}) if put is None else files.write(path, put)
    assert caught.value.errno == errno.ENOSPC
    assert "last.pt" in str(caught.value)
    monkeypatch.undo()
    assert path.read_bytes() == before and checkpoint.load(path)["step"] == 3
    assert leftovers(tmp_path) == ["last.pt"]  # no half-written file stays behind


def test_an_interrupt_while_writing_leaves_the_old_file(tmp_path):
    path = tmp_path / "last.pt"
    checkpoint.save(path, CONTENT)

    def put(file):
        file.write(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        files.write(path, put)
    assert checkpoint.load(path)["step"] == 3 and leftovers(tmp_path) == ["last.pt"]


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        checkpoint.save(tmp_path / "no" / "last.pt", CONTENT)
    assert "last.pt" in str(caught.value)


def test_every_truncation_is_noticed(tmp_path):
    path = tmp_path / "last.pt"
    checkpoint.save(path, CONTENT)
    whole = path.read_bytes()
    for size in [0, 1, 3, 10, *range(50, len(whole), 97), len(whole) - 1]:
        path.write_bytes(whole[:size])
        with pytest.raises(ValueError, match="truncated or not a checkpoint"):
            checkpoint.load(path)


def test_what_is_no_checkpoint_is_told_apart(tmp_path):
    path = tmp_path / "last.pt"
    with pytest.raises(ValueError, match=r"no checkpoint .*last\.pt"):
        checkpoint.load(path)
    samples = {
        b"hello, I am a text file\n": "not a checkpoint of nar",
        b"\x00" * 2000: "not a checkpoint of nar",
        bytes(range(256)) * 8: "not a checkpoint of nar",
        b"\x80\x04\x95": "not a checkpoint of nar",
        pickle.dumps({"a": 1}): "not a checkpoint of nar",
        b'{"schema": 1}': "not a checkpoint of nar",
        b"]": "not a checkpoint of nar",
        b"\x80\x02.": "not a checkpoint of nar",
        b"\x80\x02(lp0\n": "not a checkpoint of nar",
    }
    for data, message in samples.items():
        path.write_bytes(data)
        with pytest.raises(ValueError, match=message):
            checkpoint.load(path)
    for foreign in ({"state_dict": {}}, torch.zeros(3), [1, 2], {"made_by": "someone"}):
        torch.save(foreign, path)
        with pytest.raises(ValueError, match="not a checkpoint of nar"):
            checkpoint.load(path)
    torch.save({"made_by": "nar", "format": checkpoint.FORMAT + 1}, path)
    with pytest.raises(ValueError, match="newer nar"):
        checkpoint.load(path)


class Surprise:
    def __reduce__(self):
        return os.putenv, ("NAR_TEST_SURPRISE", "1")


def test_nothing_in_a_file_is_executed(tmp_path):
    path = tmp_path / "last.pt"
    torch.save({"made_by": "nar", "format": 1, "model": Surprise()}, path)
    with pytest.raises(ValueError, match="not a checkpoint"):
        checkpoint.load(path)


def test_every_flipped_bit_is_noticed_or_changes_nothing(tmp_path):
    """Whether the file has its digest, or is of an earlier nar and has the archive's checksums alone."""
    path = tmp_path / "last.pt"
    checkpoint.save(path, CONTENT)
    torch.save({"made_by": "nar", "format": 1, **CONTENT}, tmp_path / "old.pt")
    for file in (path, tmp_path / "old.pt"):
        whole, expected = file.read_bytes(), checkpoint.digest(checkpoint.load(file))
        noticed = 0
        for place in range(0, len(whole), 7):
            damaged = bytearray(whole)
            damaged[place] ^= 1 << place % 8
            file.write_bytes(damaged)
            try:
                assert checkpoint.digest(checkpoint.load(file)) == expected, place
            except ValueError as error:
                assert file.name in str(error)
                noticed += 1
        assert noticed > 20
    assert checkpoint.digest({"a": 1, "b": [2.0]}) != checkpoint.digest({"a": 1, "b": (2.0,)})
    assert checkpoint.digest(torch.zeros(2, 3)) != checkpoint.digest(torch.zeros(3, 2))


@pytest.mark.parametrize("changed", [{"format": None}, {"format": "1"}, {"step": "4"}, {"model": [1]}, {"best": {}}])
def test_fields_of_the_wrong_type(tmp_path, changed):
    (name,) = changed
    checkpoint.save(tmp_path / "last.pt", CONTENT | changed)
    with pytest.raises(ValueError, match=rf"last\.pt is damaged: {name}.* (must be|is missing)"):
        checkpoint.load(tmp_path / "last.pt")
