""".npz files that are not what they should be: of another kind, newer, truncated, damaged; refused in one line."""

import json

import numpy as np
import pytest
from archived_traces import assert_same, foreign

import nar.datasets
from nar.traces.formats import npz


def refusal(path):
    with pytest.raises(ValueError) as error:
        npz.load(path)
    assert "\n" not in str(error.value)
    assert str(error.value).startswith(str(path))
    return str(error.value).removeprefix(str(path))


def test_files_of_another_kind(tmp_path):
    path = tmp_path / "a.npz"
    path.write_bytes(b"a,b\n1,2\n")
    assert refusal(path) == " is not an archive of traces: it is no .npz file"
    np.savez(path, a=np.arange(3))
    assert refusal(path) == " is not an archive of traces: it is an .npz file of something else"
    np.savez(path, about=np.array('{"generator": "dm-clrs"}'))
    assert refusal(path) == " is not an archive of traces: it is an .npz file of something else"
    np.savez(path, about=np.array("x"))
    assert refusal(path) == " is not an archive of traces: it is an .npz file of something else"
    np.savez(path, about=np.array([{"format": "nar traces"}], dtype=object))  # a pickle
    assert "Object arrays cannot be loaded when allow_pickle=False" in refusal(path)
    with pytest.raises(FileNotFoundError):
        npz.load(tmp_path / "missing.npz")


def rewritten(path, **changed):
    """The same file with other arrays under these names; None leaves one out."""
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    for name, value in changed.items():
        arrays[name.replace("__", "/")] = value
    np.savez_compressed(path, **{name: value for name, value in arrays.items() if value is not None})


def test_newer_files(tmp_path):
    path = tmp_path / "a.npz"
    rewritten_about = {"format": "nar traces", "version": 2, "things": "unheard of"}
    np.savez(path, about=np.array(json.dumps(rewritten_about)))
    assert refusal(path) == " is of version 2, newer than this nar, which reads version 1; update nar"
    with pytest.raises(ValueError, match="newer"):
        npz.describe(path)


def test_truncated_files(tmp_path):
    path = tmp_path / "a.npz"
    npz.save(foreign(), path)
    content = path.read_bytes()
    for size in [0, 1, 3, *range(4, len(content), 97), len(content) - 22, len(content) - 1]:
        path.write_bytes(content[:size])
        assert "truncated" in refusal(path) or size == len(content) - 1
    path.write_bytes(content)
    npz.load(path)


def test_a_damaged_byte_is_found_or_changes_nothing(tmp_path):
    path = tmp_path / "a.npz"
    npz.save(foreign(), path)
    content = path.read_bytes()
    found = 0
    for at in range(0, len(content), 3):
        path.write_bytes(content[:at] + bytes([content[at] ^ (1 << at % 8)]) + content[at + 1 :])
        try:
            (again,) = npz.load(path)
        except ValueError as error:
            found += 1
            assert "\n" not in str(error)
        else:
            assert_same(foreign(), again)  # a bit that nobody reads: a time stamp, say
    assert found > len(content) // 6


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"output__pi": None}, "damaged: .*output/pi.npy"),
        ({"output__pi": np.array([0, 1])}, r"damaged: got an array of shape \(2,\), required 8 numbers"),
        ({"output__pi": np.zeros(9)}, r"damaged: got an array of shape \(9,\), required 8 numbers"),
        ({"output__pi": np.array([[0, 1, 2, 3] * 2])}, r"damaged: got an array of shape \(1, 8\)"),
        ({"output__pi": np.array([0, 1, 2, 4] * 2)}, "damaged: got numbers from 0 to 4, required 0 to 3"),
        ({"output__pi": np.array(["0"] * 8)}, "damaged: output/pi holds <U1, required numbers"),
        ({"hint__msk": np.zeros(3)}, "damaged: got an array"),
        ({"nodes": np.array([4, -4])}, "damaged: nodes or lengths are not those of traces"),
        ({"nodes": np.array([4])}, "damaged: nodes or lengths"),
        ({"lengths": np.array([2**31, 2**31])}, "damaged: got an array"),
        ({"about": np.array('{"format": "nar traces", "version": 1}')}, "damaged: 'spec'"),
        ({"about": np.array('{"format": "nar traces", "version": 1, "spec": {"a": ["b"]}}')}, "damaged: "),
    ],
)
def test_arrays_that_do_not_fit(changed, message, tmp_path):
    algorithm = nar.datasets.get("bellman_ford")
    rng = np.random.RandomState(0)
    npz.save([algorithm.run(**algorithm.sample(rng, 4)) for _ in range(2)], tmp_path / "a.npz")
    rewritten(tmp_path / "a.npz", **changed)
    with pytest.raises(ValueError, match=message) as error:
        npz.load(tmp_path / "a.npz")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"hint__W__steps": np.array([1, 1, 0])}, "hint/W names values that are not there"),
        ({"hint__W__steps": np.array([-1, 1, 0])}, "hint/W names values that are not there"),
        ({"hint__W__counts": np.array([-2])}, "damaged"),
        ({"hint__W__counts": np.array([1, 1])}, "damaged"),
    ],
)
def test_runs_that_do_not_fit(changed, message, tmp_path):
    npz.save(foreign(), tmp_path / "a.npz")
    rewritten(tmp_path / "a.npz", **changed)
    with pytest.raises(ValueError, match=message):
        npz.load(tmp_path / "a.npz")
