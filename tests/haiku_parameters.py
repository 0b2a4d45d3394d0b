"""dm-clrs's parameters under neutral names, in PyTorch's layout.

    load_parameters(npz, spec, kind) -> {"encoder/pos/0/weight": [16, 1], "processor/m1/bias": [16], ...}

`npz` is a file written by tests/golden/record_model.py. Weights are transposed to [out, in]; LayerNorm's scale and
offset become weight and bias. The file is not called haiku.py: that name would hide dm-haiku from dm-clrs.

Which haiku module is which map. Haiku numbers modules of one name in the order in which the code creates them, so
`linear` is followed by `linear_1`; this was checked by recording the source line that creates each module (dm-clrs
2.0.3). With z = [node features, previous hidden], i the sending and j the receiving node:

    PGN family: everything in `net/mpnn_aggr_clrs_processor/`, whatever the kind's name
        linear       m1     of z_j                  linear_6 .. 8    t1, t2, t3     of z_i, z_j, z_k
        linear_1     m2     of z_i                  linear_9 .. 11   te1, te2, te3  of e_ij, e_ik, e_jk
        linear_2     me     of e_ij                 linear_12        tg             of the graph
        linear_3     mg     of the graph            linear_13        o3             triplet to edge state
        linear_4     o1     of z_j                  linear_14 .. 16  gate1 of z_j, gate2 of the message, gate3
        linear_5     o2     of the message          layer_norm       norm
        mlp/~/linear_0, mlp/~/linear_1              mlp0, mlp1
      Triplet maps exist in triplet_* kinds only; without them the gate's maps are linear_6, 7, 8.
    GAT: `net/gat_aggr_clrs_processor/`, here i is the receiving node (row) and j the sending one
        linear value (of z_j), linear_1 skip (of z_i), linear_2 a1 (z_i), linear_3 a2 (z_j), linear_4 ae (e_ij),
        linear_5 ag (graph), layer_norm norm
    GATv2: `net/gatv2_aggr_clrs_processor/`, i the receiving node (row), j the sending one
        linear value (z_j), linear_1 skip (z_i), linear_2 w1 (z_j), linear_3 w2 (z_i), linear_4 we (e_ij),
        linear_5 wg (graph), linear_6 head0, linear_7 head1, ..., layer_norm norm
      Note that the first attention map looks at the receiver in GAT and at the sender in GATv2.
    Encoders: `net/~_construct_encoders_decoders/algo_0_<probe>_enc_linear`: encoder/<probe>/0. Edge pointers p_ijk have
        ..._enc_linear_1 (encoder/<probe>/1) too: /0 is averaged over i, /1 over j.
    Decoders: algo_0_<probe>_dec_linear, _1, _2, ...: decoder/<probe>/0, 1, 2, ..., with d the node vectors
        [x, previous hidden, new hidden] and e the edge vectors [edge features, new edge state if any]
        node pointer, permutation pointer: 0 of d_i, 1 of d_j, 2 of e_ji (transposed), 3 hidden -> 1
        other node probes: 0 of d_i
        edge probes: 0 of d_i, 1 of d_j, 2 of e_ij; pointers: also 3 of d_k, 4 hidden -> 1
        graph probes: 0 of max_i d_i, 1 of the graph; pointers: also 2 of d_j
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

PGN = ("m1", "m2", "me", "mg", "o1", "o2")
TRIPLETS = ("t1", "t2", "t3", "te1", "te2", "te3", "tg", "o3")
GATE = ("gate1", "gate2", "gate3")
GAT = ("value", "skip", "a1", "a2", "ae", "ag")
GATV2 = ("value", "skip", "w1", "w2", "we", "wg")
LEAVES = {"w": "weight", "b": "bias", "scale": "weight", "offset": "bias"}


def processor_roles(kind: str, heads: int = 1) -> dict[str, str]:
    """Haiku's module names (the last part) of one processor kind, with our roles."""
    if kind.startswith("gatv2"):
        roles = (*GATV2, *(f"head{k}" for k in range(heads)))
    elif kind.startswith("gat"):
        roles = GAT
    else:
        triplets = kind.startswith("triplet_")
        gated = kind.removeprefix("triplet_").startswith("g")
        roles = (*PGN, *(TRIPLETS if triplets else ()), *(GATE if gated else ()))
    modules = {f"linear_{k}" if k else "linear": role for k, role in enumerate(roles)}
    if roles[0] == "m1":
        modules |= {"mlp/~/linear_0": "mlp0", "mlp/~/linear_1": "mlp1"}
    return modules | {"layer_norm": "norm"}


def expected_shapes(spec: Mapping, kind: str, hidden: int, triplet: int = 8, heads: int = 1) -> dict[str, tuple]:
    """Neutral name of every weight and bias, with its shape in PyTorch's layout."""
    inputs = {"m1": 2, "m2": 2, "o1": 2, "gate1": 2, "t1": 2, "t2": 2, "t3": 2, "value": 2, "skip": 2}
    inputs |= {"a1": 2, "a2": 2, "w1": 2, "w2": 2}
    maps = {}  # name -> (out, in)
    for role in processor_roles(kind, heads).values():
        out, fan_in = hidden, inputs.get(role, 1) * hidden
        if role in ("a1", "a2", "ae", "ag"):
            out = heads
        elif role.startswith("head"):
            out, fan_in = 1, hidden // heads
        elif role == "o3":
            fan_in = triplet
        elif role in TRIPLETS:
            out = triplet
        if role != "norm":
            maps[f"processor/{role}"] = (out, fan_in)
    edge = 2 * hidden if kind.startswith("triplet_") else hidden
    node = 3 * hidden
    for name, probe in spec.items():
        pointer = probe.type in ("pointer", "permutation_pointer")
        channels = probe.classes or 1
        if probe.stage != "output":
            count = 2 if pointer and probe.location == "edge" else 1
            maps |= {f"encoder/{name}/{k}": (hidden, channels) for k in range(count)}
        if probe.stage == "input":
            continue
        if probe.location == "node":
            sizes = [(hidden, node), (hidden, node), (hidden, edge), (1, hidden)] if pointer else [(channels, node)]
        elif probe.location == "edge":
            out = hidden if pointer else channels
            sizes = [(out, node), (out, node), (out, edge)] + ([(hidden, node), (1, hidden)] if pointer else [])
        else:
            sizes = [(channels, node), (channels, hidden)] + ([(1, node)] if pointer else [])
        maps |= {f"decoder/{name}/{k}": size for k, size in enumerate(sizes)}
    shapes = {f"{name}/weight": size for name, size in maps.items()}
    shapes |= {f"{name}/bias": size[:1] for name, size in maps.items()}
    return shapes | {"processor/norm/weight": (hidden,), "processor/norm/bias": (hidden,)}


def neutral_name(haiku_name: str, kind: str) -> str:
    """`net/~_construct_encoders_decoders/algo_0_pi_dec_linear_1:w` becomes `decoder/pi/1/weight`."""
    module, leaf = haiku_name.split(":")
    if coder := re.fullmatch(r"net/~_construct_encoders_decoders/algo_0_(.+)_(enc|dec)_linear(?:_(\d+))?", module):
        probe, side, index = coder.groups(default="0")
        return f"{side}oder/{probe}/{index}/{LEAVES[leaf]}"
    match = re.fullmatch(r"net/\w+_clrs_processor/(.+)", module)
    role = match and processor_roles(kind, heads=16).get(match[1])
    if not role:
        raise ValueError(f"{haiku_name!r} is no parameter of the processor kind {kind!r}: pass the kind of the file")
    return f"processor/{role}/{LEAVES[leaf]}"


def load_parameters(npz: str | Path | Mapping, spec: Mapping, kind: str, key: str = "param") -> dict[str, np.ndarray]:
    """Parameters (or, with key="grad", the recorded gradients) of a golden file, checked against spec and kind.

    `spec` is a nar.traces.spec.Spec after the protocol's transforms (`pred` of a sorting algorithm as permutation
    pointer with `pred_mask`); `npz` is a path or an opened file. Missing, superfluous or misshaped parameters raise
    ValueError.
    """
    if isinstance(npz, (str, Path)):
        with np.load(npz, allow_pickle=False) as file:
            return load_parameters(dict(file), spec, kind, key)
    if key not in npz:
        raise ValueError(f"the file has no {key!r}: gradients are recorded for mpnn and triplet_gmpnn on bellman_ford")
    vector, parameters, start = npz[key], {}, 0
    for name, (rows, columns) in zip(npz["param/names"].tolist(), npz["param/shapes"].tolist(), strict=True):
        shape = (rows, columns) if rows else (columns,)
        size = int(np.prod(shape))
        parameters[neutral_name(name, kind)] = vector[start : start + size].reshape(shape).T.copy()
        start += size
    assert start == len(vector)
    hidden = len(parameters["processor/norm/bias"])
    want = expected_shapes(spec, kind, hidden)
    got = {name: array.shape for name, array in parameters.items()}
    if got != want:
        different = sorted(name for name in got.keys() | want.keys() if got.get(name) != want.get(name))
        rows = ", ".join(f"{name}: got {got.get(name)}, expected {want.get(name)}" for name in different[:4])
        raise ValueError(f"the file does not fit this spec and kind {kind!r} ({len(different)} differences): {rows}")
    return parameters
