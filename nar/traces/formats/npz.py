"""Traces in a file: one `.npz` holds any number of traces of one algorithm, of any lengths and sizes.

A zip of plain arrays; `np.load(path, allow_pickle=False)` is enough to read it:

    about                   JSON: format, version, algorithm, manifest, and spec (probe: stage, location, type, classes)
    nodes, lengths          [S] of the S traces
    <stage>/<probe>         the probe's compact form (nar/traces/spec.py), all traces one after another in one flat
    array hint/<probe>/values     for hints kept as runs (nar/traces/run_length.py): the matrices that held for a while,
    flat as above, hint/<probe>/counts     how many there are of them [S], and
    hint/<probe>/steps      for each moment, how far its index into them is from that of the moment before

Numbers are stored in the smallest type that keeps every bit. The same traces give the same bytes.
"""

import contextlib
import io
import json
import math
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from nar.system import files
from nar.traces.run_length import RunLengthArray
from nar.traces.spec import Probe, Spec, Stage
from nar.traces.trace import Trace, compact_dtype, is_run_length

FORMAT = "nar traces"
VERSION = 1  # raised when an older nar could not read a newer file

# What zipfile, zlib, numpy and json raise over bytes that are not as they were written.
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError, KeyError, struct.error)


def save(traces: Trace | Sequence[Trace], path: str | os.PathLike, manifest: Mapping[str, Any] | None = None) -> None:
    """Write traces of one algorithm to `path`, in one move: on failure the old file stays.

    `manifest`: anything that JSON can hold, for example how the traces were drawn; `describe` gives it back.
    """
    traces = [traces] if isinstance(traces, Trace) else list(traces)
    if not traces:
        raise ValueError("traces must hold at least one trace, got none")
    first = traces[0]
    for trace in traces:
        if (trace.algorithm, trace.spec) != (first.algorithm, first.spec):
            raise ValueError(
                f"traces must be of one algorithm and spec, got {first.algorithm} and {trace.algorithm}; "
                "write one file for each"
            )
    about = {"format": FORMAT, "version": VERSION, "algorithm": first.algorithm, "spec": first.spec.to_json()}
    about["manifest"] = None if manifest is None else dict(manifest)
    try:
        text = json.dumps(about, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"manifest must hold only what JSON can: {error}") from None
    arrays = {
        "about": np.array(text),
        "nodes": np.array([trace.nodes for trace in traces], np.int32),
        "lengths": np.array([trace.length for trace in traces], np.int32),
    }
    for name, probe in first.spec.items():
        arrays |= _packed(f"{probe.stage}/{name}", probe, [trace.compact[name] for trace in traces])
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    files.write(Path(path), lambda file: _write(file, arrays))


def load(path: str | os.PathLike) -> list[Trace]:
    """The traces of a file; ValueError says whether it is foreign, newer than this nar, truncated or damaged."""
    with _opened(path) as (file, about):
        spec = Spec(about["spec"])
        nodes, lengths = (_read(file, key).astype(np.int64).tolist() for key in ("nodes", "lengths"))
        if len(nodes) != len(lengths) or min(nodes, default=0) < 1 or min(lengths) < 0:
            raise ValueError("nodes or lengths are not those of traces")
        probes = {name: _unpacked(file, name, probe, nodes, lengths) for name, probe in spec.items()}
        return [
            Trace(about["algorithm"], spec, n, length, {name: values[i] for name, values in probes.items()})
            for i, (n, length) in enumerate(zip(nodes, lengths, strict=True))
        ]


def describe(path: str | os.PathLike) -> dict[str, Any]:
    """What a file holds, without reading the traces: version, algorithm, spec, number of samples, manifest."""
    with _opened(path) as (file, about):
        found = {key: about[key] for key in ("version", "algorithm", "manifest")}
        return found | {"spec": Spec(about["spec"]), "samples": len(_read(file, "nodes"))}


def _packed(key: str, probe: Probe, values: list[Any]) -> dict[str, np.ndarray]:
    """The arrays that hold one probe of all traces."""
    if not is_run_length(probe):
        return {key: _smallest(_joined(values))}
    runs = [v if isinstance(v, RunLengthArray) else RunLengthArray.of(v) for v in values]
    return {
        f"{key}/values": _smallest(_joined([r.values for r in runs])),
        f"{key}/counts": _smallest(np.array([len(r.values) for r in runs], np.int32)),
        f"{key}/steps": _smallest(_joined([np.diff(r.index.astype(np.int32), prepend=0) for r in runs])),
    }


def _unpacked(file: zipfile.ZipFile, name: str, probe: Probe, nodes: list[int], lengths: list[int]) -> list[Any]:
    """One probe of every trace."""
    key = f"{probe.stage}/{name}"
    if not is_run_length(probe):
        leading = [(t,) for t in lengths] if probe.stage is Stage.HINT else [()] * len(nodes)
        return _compact(_read(file, key), leading, probe, nodes)
    counts = _read(file, f"{key}/counts").tolist()
    values = _compact(_read(file, f"{key}/values"), [(count,) for count in counts], probe, nodes)
    steps = _split(_read(file, f"{key}/steps"), [(t,) for t in lengths])
    index = [np.cumsum(s, dtype=np.int32) for s in steps]
    for i, count in zip(index, counts, strict=True):
        if i.size and not (0 <= i.min() and i.max() < count):
            raise ValueError(f"{key} names values that are not there")
    return [RunLengthArray(v, i) for v, i in zip(values, index, strict=True)]


def _joined(values: list[Any]) -> np.ndarray:
    return np.concatenate([np.asarray(v).reshape(-1) for v in values])


def _split(flat: np.ndarray, shapes: list[tuple[int, ...]]) -> list[np.ndarray]:
    """Arrays of these shapes from one flat array."""
    ends = np.cumsum([math.prod(shape) for shape in shapes])
    if flat.shape != (ends[-1],):
        raise ValueError(f"got an array of shape {flat.shape}, required {ends[-1]} numbers")
    return [part.reshape(shape) for part, shape in zip(np.split(flat, ends[:-1]), shapes, strict=True)]


def _compact(flat: np.ndarray, leading: list[tuple[int, ...]], probe: Probe, nodes: list[int]) -> list[np.ndarray]:
    """A probe's arrays, with these leading axes; copies, so that one does not keep all of them alive."""
    parts = _split(flat, [(*axes, *probe.shape(n)) for axes, n in zip(leading, nodes, strict=True)])
    for part, n in zip(parts, nodes, strict=True):
        low, high = probe.limits(n)
        if part.size and math.isfinite(high) and not (low <= part.min() and part.max() <= high):
            raise ValueError(f"got numbers from {part.min()} to {part.max()}, required {low} to {high}")
    return [part.astype(compact_dtype(probe, n)) for part, n in zip(parts, nodes, strict=True)]


def _smallest(array: np.ndarray) -> np.ndarray:
    """The same numbers, bit for bit, in the first of these types that holds them."""
    whole = array.dtype.kind in "iu"
    minus_zero = not whole and bool((np.signbit(array) & (array == 0)).any())
    for dtype in (np.int8, np.int16, np.int32) if whole else (np.int8, np.int16, np.float32):
        with np.errstate(all="ignore"):
            smaller = array.astype(dtype)
        if np.array_equal(smaller, array) and not (minus_zero and dtype is not np.float32):
            return smaller
    return array


def _write(file: BinaryIO, arrays: Mapping[str, np.ndarray]) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            content = io.BytesIO()
            little_endian = array.astype(array.dtype.newbyteorder("<"), copy=False)
            np.lib.format.write_array(content, little_endian, allow_pickle=False)
            entry = zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0))  # no clock, no system: same bytes
            entry.compress_type, entry.create_system, entry.external_attr = zipfile.ZIP_DEFLATED, 3, 0o644 << 16
            archive.writestr(entry, content.getvalue())


@contextlib.contextmanager
def _opened(path: str | os.PathLike) -> Iterator[tuple[zipfile.ZipFile, dict[str, Any]]]:
    """The file and what it says about itself; what goes wrong while it is read is damage."""
    with open(path, "rb") as raw:
        start = raw.read(4)
        try:
            file = zipfile.ZipFile(raw)
        except _DAMAGE:
            raw.seek(0)
            if start[:2] != b"PK"[: len(start)]:
                raise ValueError(f"{os.fspath(path)} is not an archive of traces: it is no .npz file") from None
            cut = b"PK\5\6" not in raw.read()
            reason = "is truncated: its end is missing" if cut else "is damaged: its table of contents is unreadable"
            raise ValueError(f"{os.fspath(path)} {reason}") from None
        with file:
            about = _about(file, path)
            with _damage(path):
                yield file, about


def _about(file: zipfile.ZipFile, path: str | os.PathLike) -> dict[str, Any]:
    foreign = f"{os.fspath(path)} is not an archive of traces: it is an .npz file of something else"
    if "about.npy" not in file.namelist():
        raise ValueError(foreign)
    with _damage(path):
        text = str(_read(file, "about"))
    about = None
    with contextlib.suppress(ValueError):
        about = json.loads(text)
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise ValueError(foreign)
    if about.get("version") != VERSION:
        newer = f"is of version {about.get('version')}, newer than this nar, which reads version {VERSION}; update nar"
        raise ValueError(f"{os.fspath(path)} {newer}")
    return about


def _read(file: zipfile.ZipFile, key: str) -> np.ndarray:
    # All bytes first, which checks their sum: a damaged header could ask for any amount of memory.
    array = np.lib.format.read_array(io.BytesIO(file.read(f"{key}.npy")), allow_pickle=False)
    if key != "about" and array.dtype.kind not in "if":
        raise ValueError(f"{key} holds {array.dtype}, required numbers")
    return array


@contextlib.contextmanager
def _damage(path: str | os.PathLike) -> Iterator[None]:
    try:
        yield
    except (*_DAMAGE, TypeError, AttributeError, OverflowError, MemoryError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{os.fspath(path)} is damaged: {reason}") from None
