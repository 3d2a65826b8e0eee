"""Reading PyTorch's files without running them."""

import pickle
import zipfile

import numpy as np
import pytest

from alae_tf.features.pytorch_file import PytorchFileError, Skipped, read_pytorch
from tests.helpers.pth_writer import Code, call, code, name, storage, tensor, write
from tests.paths import GOLDENS

BOTH = pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
SIX = np.arange(6, dtype=np.float32)


def refused(path, *named):
    with pytest.raises(PytorchFileError) as error:
        read_pytorch(path)
    message = str(error.value)
    assert message.startswith(f"{path}: ") and all(name in message for name in named)


@pytest.mark.parametrize("format_", ["zip", "legacy"])
def test_the_authors_files_are_read_whole(format_):
    data, skipped = read_pytorch(GOLDENS / f"official_style32_{format_}.pth")
    assert skipped == ("tracker.RunningMeanTorch",)
    assert isinstance(data["auxiliary"]["tracker"]["tracks"]["loss_d"], Skipped)
    assert data["auxiliary"]["scheduler"]["encoder_optimizer"] == {"last_epoch": 157}
    assert data["auxiliary"]["encoder_optimizer"]["param_groups"][0]["lr"] == 0.0015


@BOTH
def test_arrays_of_every_kind_come_back(tmp_path, legacy):
    value = {
        kind: np.arange(6).reshape(2, 3).astype(kind) for kind in ("f2", "f4", "f8", "i8", "u1")
    }
    value |= {"none": None, "text": "ä", "list": [1, 2.5, (True,)], "empty": np.zeros([0, 2], "f4")}
    data, skipped = read_pytorch(write(tmp_path / "a.pth", value, legacy))
    assert skipped == ()
    assert data.keys() == value.keys()
    for key, expected in value.items():
        if isinstance(expected, np.ndarray):
            assert data[key].dtype == expected.dtype
            np.testing.assert_array_equal(data[key], expected)
        else:
            assert data[key] == expected


@BOTH
def test_tensors_may_share_turn_and_repeat_their_numbers(tmp_path, legacy):
    own = storage("s", 6, legacy=legacy)
    value = {
        "turned": tensor(own, 0, (3, 2), (1, 3)),
        "column": tensor(own, 1, (2,), (3,)),
        "repeated": tensor(own, 5, (2, 2), (0, 0)),
        "scalar": tensor(own, 4, (), ()),
        "parameter": call(name("torch._utils", "_rebuild_parameter"), tensor(own, 0, (2,), (1,))),
    }
    if legacy:
        value["part"] = tensor(storage("s", 6, legacy=True, part=("p", 2, 3)), 1, (2,), (1,))
    data, _ = read_pytorch(write(tmp_path / "a.pth", value, legacy, {"s": SIX}))
    assert data["turned"].tolist() == [[0, 3], [1, 4], [2, 5]]
    assert data["column"].tolist() == [1, 4]
    assert data["repeated"].tolist() == [[5, 5], [5, 5]]
    assert data["scalar"] == 4
    assert data["parameter"].tolist() == [0, 1]
    if legacy:
        assert data["part"].tolist() == [3, 4]


@BOTH
@pytest.mark.parametrize(
    "own",
    [
        pytest.param(lambda own: tensor(own, 0, (7,), (1,)), id="longer"),
        pytest.param(lambda own: tensor(own, 1, (2, 3), (3, 1)), id="later"),
        pytest.param(lambda own: tensor(own, 0, (2, 2), (5, 1)), id="wider"),
        pytest.param(lambda own: tensor(own, 5, (6,), (-1,)), id="backwards"),
        pytest.param(lambda own: tensor(own, -1, (2,), (1,)), id="before"),
        pytest.param(lambda own: tensor(own, 0, (2,), (1, 1)), id="rank"),
        pytest.param(lambda own: tensor(own, 0, (10**12,), (0,)), id="huge"),
        pytest.param(lambda own: tensor(own, 0, (1.5,), (1,)), id="float"),
        pytest.param(lambda own: tensor("text", 0, (1,), (1,)), id="text"),
        pytest.param(lambda own: tensor(own, 0, (1,) * 70, (1,) * 70), id="axes"),
        # A repeated number is as long as it likes; taken for a storage it would end anywhere.
        pytest.param(lambda own: tensor(tensor(own, 0, (99,), (0,)), 0, (99,), (1,)), id="tensor"),
    ],
)
def test_a_tensor_beyond_its_storage_is_refused(tmp_path, legacy, own):
    value = {"a": own(storage("s", 6, legacy=legacy))}
    refused(write(tmp_path / "a.pth", value, legacy, {"s": SIX}))


def nested(depth):
    """A tuple in a tuple in a tuple …"""
    return Code(b"N" + b"\x85" * depth)


def doubling(times):
    """t = (t, t), again and again: short in the file and in memory, endless to hash or print."""
    return Code(b"]" + b"2\x86" * times)


def doubling_list(times):
    """The same of lists."""
    program = b"]q\x00"
    for _ in range(times):
        program += b"0](h\x00h\x00eq\x00"
    return Code(program)


def python_2_dict(value):
    """An OrderedDict as Python 2 pickles it: of a list of pairs."""
    pairs = [[key, entry] for key, entry in value.items()]
    return call(name("collections", "OrderedDict"), pairs)


@BOTH
def test_an_ordered_dict_of_pairs_is_read(tmp_path, legacy):
    own = storage("s", 6, legacy=legacy)
    value = python_2_dict({"lin0.model.1.weight": tensor(own, 0, (1, 6, 1, 1), (6, 1, 1, 1))})
    data, skipped = read_pytorch(write(tmp_path / "a.pth", value, legacy, {"s": SIX}))
    assert skipped == () and list(data) == ["lin0.model.1.weight"]
    np.testing.assert_array_equal(data["lin0.model.1.weight"], SIX.reshape(1, 6, 1, 1))


@BOTH
@pytest.mark.parametrize(
    "value",
    [
        pytest.param({nested(200_000): 1}, id="deep"),
        pytest.param({doubling(45): 1}, id="doubling"),
        pytest.param({"a": {(): 1}}, id="tuple"),
        pytest.param({1 << 64: 1}, id="long"),
        pytest.param(Code(b"}" + doubling(45) + b"Ns"), id="SETITEM"),
        pytest.param(Code(b"}(" + doubling(45) + b"Nu"), id="SETITEMS"),
        pytest.param(Code(b"(" + doubling(45) + b"Nd"), id="DICT"),
        pytest.param(Code(b"\x8f(" + doubling(45) + b"\x90"), id="ADDITEMS"),
        pytest.param(Code(b"(" + doubling(45) + b"\x91"), id="FROZENSET"),
        pytest.param(python_2_dict({doubling(45): 1}), id="OrderedDict"),
        pytest.param(call(name("collections", "OrderedDict"), doubling(45)), id="pair of pairs"),
        pytest.param(call(name("collections", "OrderedDict"), [1]), id="no pairs"),
        pytest.param(Code(b"](" + code(0) + b"Nu"), id="list"),
        pytest.param(
            Code(bytes(tensor(storage("s", 0), 0, (0,), (1,))) + doubling(45) + b"Ns"), id="array"
        ),
    ],
)
def test_keys_that_take_forever_to_hash_are_refused(tmp_path, legacy, value):
    refused(write(tmp_path / "a.pth", {"a": value}, legacy))


def test_values_may_be_nested_and_double_and_skipped_objects_take_any_key(tmp_path):
    made = Code(bytes(call(name("collections", "Counter"))) + b"(" + doubling(45) + b"Nu")
    value = {"deep": nested(200_000), "wide": doubling(45), "list": doubling_list(45), "made": made}
    data, _ = read_pytorch(write(tmp_path / "a.pth", value))
    assert list(data) == list(value)


def test_dicts_of_one_list_named_again_and_again_have_a_bound(tmp_path):
    pairs = Code(code([[str(k), k] for k in range(1000)]) + b"q\x00")
    made = Code(name("collections", "OrderedDict") + b"h\x00\x85R")
    refused(write(tmp_path / "a.pth", [pairs, *[made] * 1000]))


@pytest.mark.parametrize("place", [1, 2, 4], ids=["version", "system", "keys"])
def test_no_pickle_of_the_older_format_is_printed_or_sorted(tmp_path, place):
    endless = b"\x80\x02" + doubling_list(45) + b"."
    parts = [pickle.dumps(v, 2) for v in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})]
    parts += [pickle.dumps({}, 2), pickle.dumps([], 2)]
    parts[place] = endless
    path = tmp_path / "a.pth"
    path.write_bytes(b"".join(parts))
    refused(path)


def commands(touched):
    """Programs that would make the file `touched`, and the name by which each is refused."""
    shell = f"touch {touched}"
    python = f"open({str(touched)!r}, 'w')"
    return {
        "os.system": call(name("os", "system"), shell),
        "posix.system": call(name("posix", "system"), shell),
        "builtins.eval": call(name("builtins", "eval"), python),
        "__builtin__.eval": call(name("__builtin__", "eval"), python),
        "commands.getoutput": call(name("commands", "getoutput"), shell),
        "subprocess.Popen": call(name("subprocess", "Popen"), ["touch", str(touched)]),
        "builtins.getattr": call(
            call(name("builtins", "getattr"), name("os", "x"), "system"), shell
        ),
        "collections.OrderedDict.__init__.__globals__": call(
            name("collections", "OrderedDict.__init__.__globals__"), shell
        ),
        "torch.load": call(name("torch", "load"), str(touched)),
        "torch.hub.load": call(name("torch.hub", "load"), str(touched)),
        "numpy.save": call(name("numpy", "save"), str(touched), 1),
        "alae_tf.system.files.write_atomic": call(
            name("alae_tf.system.files", "write_atomic"), "a", "b"
        ),
        "copyreg._reconstructor": call(name("copyreg", "_reconstructor")),
        # INST and OBJ call too, and STACK_GLOBAL names its function by texts.
        "os.popen": Code(b"(" + code(shell) + b"ios\npopen\n"),
        "nt.system": Code(b"(" + name("nt", "system") + code(shell) + b"o"),
        "pty.spawn": Code(code("pty") + code("spawn") + b"\x93" + code((shell,)) + b"R"),
    }


@BOTH
@pytest.mark.parametrize("function", commands("x"))
def test_a_file_that_would_run_a_command_is_refused_by_name(tmp_path, legacy, function):
    touched = tmp_path / "touched"
    value = {"models": {"generator_s": {"const": commands(touched)[function]}}}
    path = write(tmp_path / "a.pth", value, legacy)
    refused(path, f"'{function}'")
    assert not touched.exists()


def test_the_command_is_one_that_would_have_run(tmp_path):
    touched = tmp_path / "touched"
    pickle.loads(b"\x80\x02" + code(commands(touched)["os.system"]) + b".")
    assert touched.exists()


@pytest.mark.parametrize("place", [1, 2, 4], ids=["version", "system", "keys"])
def test_every_pickle_of_the_older_format_is_watched(tmp_path, place):
    touched = tmp_path / "touched"
    bad = b"\x80\x02" + code(commands(touched)["os.system"]) + b"."
    good = [pickle.dumps(v, 2) for v in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})]
    parts = [*good, pickle.dumps({}, 2), pickle.dumps([], 2)]
    path = tmp_path / "a.pth"
    path.write_bytes(b"".join(parts))
    assert read_pytorch(path).data == {}
    parts[place] = bad
    path.write_bytes(b"".join(parts))
    refused(path, "'os.system'")
    assert not touched.exists()


@BOTH
def test_objects_of_unknown_classes_are_skipped_and_take_anything(tmp_path, legacy):
    made = call(name("tracker", "Losses"), 1, SIX.tolist())
    value = {
        "reduced": made,
        "new": Code(name("tracker", "Mean") + b")\x81" + code({"values": [1]}) + b"b"),
        "filled": Code(bytes(made) + b"(" + code("a") + code(1) + b"u(" + code(2) + b"e"),
        "numpy": call(name("numpy.core.multiarray", "scalar"), call(name("numpy", "dtype"), "f8")),
        "kept": SIX,
    }
    data, skipped = read_pytorch(write(tmp_path / "a.pth", value, legacy))
    numpy = ("numpy.core.multiarray.scalar", "numpy.dtype")
    assert skipped == (*numpy, "tracker.Losses", "tracker.Mean")
    assert isinstance(data["reduced"], Skipped) and isinstance(data["new"], Skipped)
    assert not vars(data["new"])
    assert data["kept"].tolist() == SIX.tolist()


def test_state_changes_no_object_and_no_class(tmp_path):
    state = Code(b"N" + code({"__call__": 1, "append": 2}) + b"\x86b")
    value = {
        "class": Code(name("tracker", "Mean") + bytes(state)),
        "type": Code(name("torch", "FloatStorage") + bytes(state)),
        "function": Code(name("torch._utils", "_rebuild_tensor_v2") + bytes(state)),
        "array": Code(bytes(tensor(storage("s", 6), 0, (6,), (1,))) + bytes(state)),
    }
    before = dict(vars(Skipped))
    data, _ = read_pytorch(write(tmp_path / "a.pth", value, storages={"s": SIX}))
    assert dict(vars(Skipped)) == before
    assert not vars(data["function"])
    assert data["array"].tolist() == SIX.tolist()


@BOTH
@pytest.mark.parametrize(
    "reference",
    [
        pytest.param(("module", "x"), id="module"),
        pytest.param(("storage", "FloatStorage", "s", "cpu", 6), id="type"),
        pytest.param(("storage", name("torch", "FloatStorage"), 1, "cpu", 6), id="key"),
        pytest.param(("storage", name("torch", "FloatStorage"), "s", "cpu", -6), id="negative"),
        pytest.param(("storage", name("torch", "FloatStorage"), "s", "cpu", 10**13), id="huge"),
        pytest.param(
            ("storage", name("torch", "FloatStorage"), "s", "cpu", 6, ("p", 4, 3)), id="part"
        ),
    ],
)
def test_references_are_checked_before_memory_is_taken(tmp_path, legacy, reference):
    value = {"a": tensor(Code(code(reference) + b"Q"), 0, (1,), (1,))}
    refused(write(tmp_path / "a.pth", value, legacy, {"s": SIX}))


@pytest.mark.parametrize("program", [b"r\xff\xff\xff\xff", b"\x96" + b"\xff" * 5 + b"\0" * 3])
def test_no_opcode_takes_memory_that_the_file_does_not_have(tmp_path, program):
    value = {"a": Code(b"N" + program + b"0N")}
    path = write(tmp_path / "a.pth", value)
    if program.startswith(b"r"):  # the memo's last place; a dict here, an array in C
        assert read_pytorch(path).data == {"a": None}
    else:
        refused(path)


@pytest.mark.parametrize("format_", ["zip", "legacy"])
def test_a_file_cut_short_anywhere_is_refused(tmp_path, format_):
    whole = (GOLDENS / f"official_style32_{format_}.pth").read_bytes()
    torn = tmp_path / "torn.pth"
    for length in (20, 100, 137, 5_000, 36_730, len(whole) // 2, len(whole) - 1):
        torn.write_bytes(whole[:length])
        refused(torn)


@pytest.mark.parametrize("format_", ["zip", "legacy"])
def test_damaged_bytes_are_refused_or_harmless(tmp_path, format_):
    whole = (GOLDENS / f"official_style32_{format_}.pth").read_bytes()
    path = tmp_path / "damaged.pth"
    random = np.random.default_rng(0)
    for _ in range(60):
        damaged = bytearray(whole)
        for place in random.integers(0, 40_000, 3):
            damaged[place] = random.integers(256)
        path.write_bytes(damaged)
        try:
            read_pytorch(path)
        except PytorchFileError as error:
            assert str(error).startswith(f"{path}: ")


def test_a_storage_of_another_size_or_missing_is_named(tmp_path):
    value = {"a": tensor(storage("s", 6), 0, (6,), (1,))}
    path = tmp_path / "a.pth"
    refused(write(path, value, storages={"s": SIX[:5]}), "storage s")
    refused(write(path, value, storages={"t": SIX}), "model/data/s")
    value = {"a": tensor(storage("s", 6, legacy=True), 0, (6,), (1,))}
    refused(write(path, value, True, {"s": SIX[:5]}), "storage s")
    refused(write(path, value, True, {"t": SIX}))
    twice = {"a": value["a"], "b": tensor(storage("s", 5, legacy=True), 0, (5,), (1,))}
    refused(write(path, twice, True, {"s": SIX}), "storage s")


def test_a_compressed_archive_is_not_unpacked(tmp_path):
    path = tmp_path / "bomb.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model/data.pkl", b"\x80\x02" + b"N0" * 10**6 + b"N.")
    refused(path, "model/data.pkl")


def test_files_of_another_kind_are_refused(tmp_path):
    refused(tmp_path / "none.pth")
    refused(tmp_path)
    text = tmp_path / "text.pth"
    for content in (b"", b"version https://git-lfs.github.com/spec/v1\n", pickle.dumps({"a": 1})):
        text.write_bytes(content)
        refused(text)
    refused(GOLDENS / "style32_forward.npz", "data.pkl")


def test_a_big_endian_file_is_refused(tmp_path):
    path = tmp_path / "a.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/data.pkl", b"\x80\x02N.")
        archive.writestr("model/byteorder", "big")
    refused(path, "big-endian")
