"""The data of the protocol, literally: which batches are learned, which graphs choose the model, which ones test it.

Hashes are over every array in dense form, so that they hold however a batch is laid out in memory.
"""

import hashlib

import numpy as np
import pytest

from nar import datasets
from nar.config import Config
from nar.evaluation.evaluate import test_set as drawn_test_set  # pytest takes what begins with test for a test
from nar.training.tasks import training_batch, validation_set

NAMES = ("bellman_ford", "naive_string_matcher", "insertion_sort")

# by algorithm, of steps 0 to 9 with seed 0
TRAINING = {
    "bellman_ford": [
        "a657a6a3cc20d6bccf8fc828234e726bf31c7d8c122632fb89c7ad24dcddc534",
        "8f06ba30531ad59ceb4f656fd84360579c98d6d2a3ca40f28b0138ef9d951098",
        "415a9211b5276a0ac6fc2fa4449fb92da22a92163388582db47215655607ae64",
        "d97fa8ac2d1adbdbf99aed0843a0a97f332535764be20ee81e28c4efb0ce87c7",
        "dfc69915dbd33ae1b05201e81aac053ddbba6327b42886b416f2ead5bcf08cab",
        "377e04b56d63bd42030bae8a3e5b674a74355ec75a5e31619776b4df2313db62",
        "5c9f84252d31bffc7355eee314f9decf2b4890f08d0ef069a7fcba3ccb7ce4fa",
        "1707767f712a9d3b0c7ec3d0250f1267fd1b8611713310c44c5db1799e4f5a5d",
        "0abbc2e26351bc58dcc5e35c81b7c3da167627161796271d142f7ac334219342",
        "39c928efb8135c7d1eeee3e5ef6b72c54776927ccfbb4e5ec3daef9174c5b2c7",
    ],
    "naive_string_matcher": [
        "45b51eecdccbf48d75b917439dc3bb61a3f5984c0f264d871aa0d638987511c8",
        "35368dacfc8410607d0ebc8c1cc8a8f85dfb0e451be35d3080d1cd27854055e3",
        "064318e678e0a7718eaa222d5985d70572e59dff6e06aa38f86978e972a01179",
        "e286fc0f1c8d088b97d6eb1e3100b170fa565292fb661615c5a2ddec5164089f",
        "bebd40c3d4b84b9012b0cf6ae64371455a89ba95a685aefb58c56eb17cfec40b",
        "c257ba5220b7db4451d54f153406619d30ec2381d61def1636d79cd33d883a48",
        "457fef7fd28ec76c3a6754f99ad9949d160d01effd55c2a50c3333e3a85b9929",
        "30a596cd55ad8413ae3efc47851a32758d86382e1c2be6f4ae42ad4e940572f1",
        "d0b8e2b368d304f5cfeaf66d8336041ec33493c545a1608bfbf81e71ec69d3af",
        "dae95a043f6fc1b27f750feb504231a230f752befbc7a6d0b0eea76fd2e1d901",
    ],
    "insertion_sort": [
        "dd53222398333b404627d4690ed471685d1e778977bff2a78304867b6269e622",
        "8a5a4ce07fd66d34dc086f5670d391b04339331ff0144524830b62693f5b4cec",
        "3720ca6a137c87165a6d75f38ed34462af6ff45c23589d5cc5dd40382127f333",
        "ff5987e12f9a5b86018821b02beb86971e7584df52f2927b54d247f35930012f",
        "2a31ae3c641ae562831019f3883538d5335a7f1a0c63698cb37241276e01c695",
        "ed269c040b3917b1531a1b1d4b35ee6147f4fe88b9143462de8808db59f05f99",
        "52052ab125901ad20f54eec9db0d9062123d4d25cf194c9793a088059c085991",
        "e7fcf49417101faa3e21f05affed12b623ed3542a57bde7faaa814aa05d6890e",
        "ba43492d1a2a6973fea2ec8b7e1f39ccd448b9c12cc70fcb1573e213eaa5daf2",
        "2339b6a27cb0d9b9a6c5d2caf5eecdb7dbd8343de5ba911d96766781df0d843b",
    ],
}

# by algorithm, whatever the seed
VALIDATION = {
    "bellman_ford": "980289d472d9f655846db63f57145da13b537922367fddc6d39b55efb441c4bf",
    "naive_string_matcher": "110fb7f071a79029ad9034b6fee4c137c22498031908c2e9448abef4edb13b02",
    "insertion_sort": "f9b9f31afe6a1c323fe14460e6ccbd1afce229f9aa6cf78b6b5ac624f0710992",
}

# by algorithm and size
TEST = {
    ("bellman_ford", 16): "efc8819846577298821983bf09a7b1f636bb875f227e7289f0757a350c963106",
    ("bellman_ford", 64): "f97d1a8c566ba081667bf26f7bc5e1338ae3011caf44eafbe0e2c385620420b2",
    ("naive_string_matcher", 20): "7d7b47ecd858e0a1448c56f0d893096955b5f25fba94d1283166aebbbe5c7c36",
    ("naive_string_matcher", 80): "213491013a9c728095ec4e7a9983e402d56e8ba7439320a3f1ee43bf7fe07941",
    ("insertion_sort", 16): "7a9e64cf857653b52d854f1e523ebcd30b4179637c1b8d8e7a5a69ac284bc5cc",
    ("insertion_sort", 64): "7ec152a05c7a161cad5dba46219004963c075a48dcee76ab2579d828ba5226e8",
}


def of_arrays(digest, arrays):
    for name in sorted(arrays):
        array = np.ascontiguousarray(np.asarray(arrays[name]))
        array = array.astype(array.dtype.newbyteorder("<"))
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.tobytes())


def of_batches(batches):
    """SHA-256 over names, types, shapes and bytes of inputs, hints, outputs, and the samples' lengths."""
    digest = hashlib.sha256()
    for batch in batches:
        digest.update(f"{batch.algorithm} {batch.nodes} {batch.lengths}\n".encode())
        for part in (batch.inputs, batch.hints, batch.outputs):
            of_arrays(digest, part)
    return digest.hexdigest()


def of_traces(traces):
    digest = hashlib.sha256()
    for trace in traces:
        digest.update(f"{trace.algorithm} {trace.nodes} {trace.length}\n".encode())
        of_arrays(digest, trace.compact)
    return digest.hexdigest()


@pytest.mark.parametrize("name", NAMES)
def test_the_training_batches(name):
    config, algorithm = Config(algo=name, seed=0), datasets.get(name)
    batches = [training_batch(algorithm, config, step) for step in range(10)]
    found = [of_batches([batch]) for batch in batches]
    assert found == TRAINING[name]
    assert len(set(found)) == 10 and {len(batch) for batch in batches} == {32}
    # not even a graph of theirs is the same
    graphs = [of_batches([batch.rows([b])]) for batch in batches for b in range(len(batch))]
    assert len(set(graphs)) == 320


@pytest.mark.parametrize("seed", [0, 42])
@pytest.mark.parametrize("name", NAMES)
def test_the_validation_set(name, seed):
    batches = validation_set(datasets.get(name), Config(algo=name, seed=seed))
    assert of_batches(batches) == VALIDATION[name]


@pytest.mark.parametrize(("name", "size"), TEST)
def test_the_test_set(name, size):
    traces, manifest = drawn_test_set(datasets.get(name), size)
    assert of_traces(traces) == TEST[name, size]
    assert manifest["seed"] == 3


def test_no_hash_comes_twice():
    every = [h for hashes in TRAINING.values() for h in hashes] + [*VALIDATION.values(), *TEST.values()]
    assert len(set(every)) == len(every) == 3 * 10 + 3 + 3 * 2
