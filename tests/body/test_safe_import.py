"""Licensed pickles: crafted ones, since the real one may not be here; and hostile ones."""

import io
import pickle
import struct
import subprocess
import sys
import types

import numpy as np
import pytest
import scipy.sparse
import torch

from multithumbs.body import load_body
from multithumbs.body.safe_import import SMPL_KEYPOINT_VERTICES, import_smpl
from multithumbs.body.storage import read_body_file
from multithumbs.errors import ArtifactError, CheckpointError
from multithumbs.types.skeleton import JOINT_NAMES, JOINT_PARENTS, KEYPOINT_NAMES


class FakeCh:
    """Pickles under chumpy's name as chumpy's leaf does: by its ``__dict__``."""

    def __init__(self, x: np.ndarray) -> None:
        self.x, self._dirty_vars, self._itr = x, set(), None

    def __getstate__(self) -> dict:
        return dict(self.__dict__)


class FakeSelect(FakeCh):
    def __init__(self, a: FakeCh, idxs: np.ndarray, shape: tuple) -> None:
        self.a, self.idxs, self.preferred_shape = a, idxs, shape


@pytest.fixture
def chumpy(monkeypatch):
    """Classes that pickle can find, and so writes, under chumpy's names."""
    made = {}
    for module, name, base in (
        ("chumpy.ch", "Ch", FakeCh), ("chumpy.reordering", "Select", FakeSelect),
    ):  # fmt: skip
        made[name] = type(name, (base,), {"__module__": module})
        fake = types.ModuleType(module)
        setattr(fake, name, made[name])
        monkeypatch.setitem(sys.modules, module, fake)
    monkeypatch.setitem(sys.modules, "chumpy", types.ModuleType("chumpy"))
    return types.SimpleNamespace(**made)


@pytest.fixture(scope="module")
def smpl_arrays(random_tables):
    tables = random_tables(6890)
    rng = np.random.default_rng(1)
    more = rng.normal(size=(6890, 3, 290)) * 0.01
    return {
        "v_template": tables.v_template,
        "shapedirs": np.concatenate([tables.shapedirs, more], -1)[:, :, :16],
        "posedirs": tables.posedirs,
        "J_regressor": tables.J_regressor * (rng.random((24, 6890)) < 0.01),
        "weights": tables.lbs_weights,
        "f": rng.integers(0, 6890, (13776, 3)).astype(np.uint32),
        "kintree_table": np.array([JOINT_PARENTS, range(24)]).astype(np.uint32),
    }


def pickled(path, content, protocol=2):
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    return path


def assert_imported(path, out, arrays):
    import_smpl(path, out)
    tables, _ = read_body_file(out)
    np.testing.assert_array_equal(tables.v_template, arrays["v_template"])
    np.testing.assert_array_equal(tables.shapedirs, arrays["shapedirs"][:, :, :10])
    np.testing.assert_array_equal(tables.posedirs, arrays["posedirs"])
    np.testing.assert_array_equal(tables.J_regressor, arrays["J_regressor"])
    np.testing.assert_array_equal(tables.lbs_weights, arrays["weights"])
    np.testing.assert_array_equal(tables.faces, arrays["f"].astype(np.int64))
    assert "SMPL" in tables.licence


@pytest.mark.parametrize("protocol", [0, 1, 2, 5])
def test_plain_arrays_of_every_protocol(tmp_path, smpl_arrays, protocol) -> None:
    small = smpl_arrays | {"posedirs": np.zeros((6890, 3, 207))}  # protocol 0 is text
    path = pickled(tmp_path / "SMPL_NEUTRAL.pkl", small, protocol)
    assert_imported(path, tmp_path / "out.npz", small)


@pytest.mark.parametrize("form", ["csc", "csr"])
@pytest.mark.parametrize("protocol", [0, 2])
def test_chumpy_and_sparse_as_distributed(tmp_path, smpl_arrays, chumpy, form, protocol) -> None:
    shapes = smpl_arrays["shapedirs"]
    picked = np.arange(shapes.size).reshape(shapes.shape)[:, :, :10]
    content = smpl_arrays | {
        "v_template": chumpy.Ch(smpl_arrays["v_template"]),
        "shapedirs": chumpy.Select(chumpy.Ch(shapes), picked.ravel(), picked.shape),
        "posedirs": np.zeros((6890, 3, 207)),
        "weights": chumpy.Ch(np.asfortranarray(smpl_arrays["weights"])),
        "J_regressor": getattr(scipy.sparse, f"{form}_matrix")(smpl_arrays["J_regressor"]),
        "bs_style": "lbs",
        "bs_type": "lrotmin",
    }
    path = pickled(tmp_path / "basicModel.pkl", content, protocol)
    if protocol == 2:  # Python 2's names for modules
        renamed = path.read_bytes().replace(b"cscipy.sparse._", b"cscipy.sparse.")
        path.write_bytes(renamed.replace(b"cnumpy._core.", b"cnumpy.core."))
    assert_imported(path, tmp_path / "out.npz", smpl_arrays | {"posedirs": content["posedirs"]})


def test_strings_of_python_2_are_bytes(tmp_path, smpl_arrays) -> None:
    # Python 2 wrote array bytes as SHORT_BINSTRING/BINSTRING: str under latin1, not bytes.
    data = struct.pack("<3d", 1.0, -2.5, 1e300)
    stream = (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01K\x03\x85cnumpy\ndtype\nU\x02f8K\x00K\x01\x87R"
        b"(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"
        b"T" + struct.pack("<i", len(data)) + data + b"tb."
    )
    expected = pickle.loads(stream, encoding="latin1")
    np.testing.assert_array_equal(expected, [1.0, -2.5, 1e300])
    # ... and embedded as an extra entry it does not disturb the rest.
    whole = b"\x80\x02}(X\x05\x00\x00\x00extra" + stream[2:-1]
    for name, array in smpl_arrays.items():
        small = np.zeros((6890, 3, 207)) if name == "posedirs" else array
        whole += b"X" + struct.pack("<i", len(name)) + name.encode()
        whole += pickle.dumps(small, protocol=2)[2:-1]
    path = tmp_path / "SMPL_NEUTRAL.pkl"
    path.write_bytes(whole + b"u.")
    import_smpl(path, tmp_path / "out.npz")
    assert (tmp_path / "out.npz").exists()


def test_an_imported_body_poses(tmp_path, smpl_arrays, random_people) -> None:
    # (random numbers hardly compress: only here are pose blend shapes more than zeros)
    import_smpl(pickled(tmp_path / "SMPL_NEUTRAL.pkl", smpl_arrays), tmp_path / "out.npz")
    model = load_body(tmp_path / "out.npz")
    assert model.face_uv is None and model.vertex_part is None and model.name == "SMPL_NEUTRAL"
    pose, betas, transl = random_people(2)
    posed = model.posed(pose, betas, transl)
    vertices = model.vertices(pose, betas, transl)
    for row, name in enumerate(KEYPOINT_NAMES):
        if name in SMPL_KEYPOINT_VERTICES:
            expected = vertices[:, SMPL_KEYPOINT_VERTICES[name]]
        else:
            expected = posed.joints[:, JOINT_NAMES.index(name)]
        torch.testing.assert_close(posed.keypoints[:, row], expected, atol=1e-9, rtol=0)


class Call:
    """Pickles as a call of anything."""

    def __init__(self, function, *args):
        self.function, self.args = function, args

    def __reduce__(self):
        return self.function, self.args


HOSTILE = {
    "os.system": lambda mark: Call(__import__("os").system, f"touch {mark}"),
    "builtins.eval": lambda mark: Call(eval, f"open({str(mark)!r}, 'w')"),
    "builtins.exec": lambda mark: Call(exec, f"open({str(mark)!r}, 'w')"),
    "subprocess.Popen": lambda mark: Call(subprocess.Popen, ["touch", str(mark)]),
    "builtins.getattr": lambda mark: Call(getattr, "x", "join"),
    "io.open": lambda mark: Call(io.open, str(mark), "w"),
    "numpy.load": lambda mark: Call(np.load, str(mark)),
    "scipy function": lambda mark: Call(scipy.sparse.load_npz, str(mark)),
    "codecs.decode": lambda mark: Call(__import__("codecs").decode, b"x", "hex"),
    "foreign codec": lambda mark: Call(__import__("_codecs").encode, "x", "idna"),
    "array subclass": lambda mark: np.array([1.0]).view(np.recarray),
    "memmap": lambda mark: Call(np.memmap, str(mark), "float64", "w+", 0, (4,)),
    "object array": lambda mark: np.array([{"a": 1}, None], dtype=object),
    "structured array": lambda mark: np.zeros(2, dtype=[("a", "O")]),
    "text array": lambda mark: np.array(["a"]),
    "class": lambda mark: Call(type, "T", (), {}),
}


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pickles_run_nothing(tmp_path, name, protocol) -> None:
    mark = tmp_path / "executed"
    path = pickled(tmp_path / "SMPL_NEUTRAL.pkl", {"f": HOSTILE[name](mark)}, protocol)
    with pytest.raises(CheckpointError) as caught:
        import_smpl(path, tmp_path / "out.npz")
    assert not mark.exists() and not (tmp_path / "out.npz").exists()
    assert "\n" not in str(caught.value)


RAW = {
    "dotted name": b"\x80\x04\x8c\x08builtins\x8c\rstr.__class__\x93.",
    "dunder of a stand-in": b"\x80\x04\x8c\x05numpy\x8c\x12ndarray.__class__\x93.",
    "array of another class": (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncchumpy.ch\nCh\nK\x00\x85U\x01b\x87R."
    ),
    "reconstructor of a builtin": b"\x80\x02ccopy_reg\n_reconstructor\nc__builtin__\nset\nN\x86R.",
    "persistent id": b"Psomething\n.",
    "extension registry": b"\x80\x02\x82\x01.",
    "huge claimed size": b"\x80\x04\x8e" + struct.pack("<Q", 2**62) + b"x.",
    "huge array": (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01J\xff\xff\xff\x7f\x85cnumpy\ndtype\nU\x02f8K\x00K\x01\x87R\x89U\x01xtb."
    ),
    "attribute set on a class": b"\x80\x02cchumpy.ch\nCh\nN}U\x0c__setstate__K\x01s\x86b.",
    "stack underflow": b"\x80\x02tR.",
    "not a dictionary": pickle.dumps([1, 2, 3], protocol=2),
    "empty": b"",
    "text": b"hello, I am not a pickle",
}


@pytest.mark.parametrize("name", RAW)
def test_malformed_pickles(tmp_path, name) -> None:
    path = tmp_path / "SMPL_NEUTRAL.pkl"
    path.write_bytes(RAW[name])
    with pytest.raises(CheckpointError):
        import_smpl(path, tmp_path / "out.npz")
    assert not (tmp_path / "out.npz").exists()


def test_one_file_leaves_nothing_for_the_next(tmp_path, smpl_arrays) -> None:
    path = tmp_path / "bad.pkl"
    path.write_bytes(RAW["attribute set on a class"])
    with pytest.raises(CheckpointError):
        import_smpl(path, tmp_path / "out.npz")
    small = smpl_arrays | {"posedirs": np.zeros((6890, 3, 207))}
    assert_imported(pickled(tmp_path / "good.pkl", small), tmp_path / "out.npz", small)


def test_truncated_pickles(tmp_path, smpl_arrays) -> None:
    content = pickle.dumps(smpl_arrays | {"posedirs": np.zeros((2, 3, 207))}, protocol=2)
    path = tmp_path / "SMPL_NEUTRAL.pkl"
    for end in np.linspace(1, len(content) - 1, 25).astype(int):
        path.write_bytes(content[:end])
        with pytest.raises(CheckpointError):
            import_smpl(path, tmp_path / "out.npz")
    assert not (tmp_path / "out.npz").exists()


@pytest.mark.parametrize(
    "change",
    [
        {"v_template": np.zeros((778, 3))},  # a hand
        {"kintree_table": np.zeros((2, 24))},
        {"shapedirs": np.zeros((6890, 3, 4))},
        {"posedirs": np.zeros((6890, 3, 9))},
        {"weights": np.zeros((6890, 24))},
        {"f": np.full((10, 3), 6890)},
        {"J_regressor": "a string"},
        {"v_template": np.full((6890, 3), np.inf)},
    ],
)
def test_pickles_of_other_models(tmp_path, smpl_arrays, change) -> None:
    content = smpl_arrays | {"posedirs": np.zeros((6890, 3, 207))} | change
    path = pickled(tmp_path / "SMPL_NEUTRAL.pkl", content)
    with pytest.raises(CheckpointError, match="is not an SMPL body"):
        import_smpl(path, tmp_path / "out.npz")


def test_missing_pickle_and_unwritable_output(tmp_path, smpl_arrays) -> None:
    with pytest.raises(CheckpointError, match="cannot read"):
        import_smpl(tmp_path / "none.pkl", tmp_path / "out.npz")
    small = smpl_arrays | {"posedirs": np.zeros((6890, 3, 207))}
    path = pickled(tmp_path / "SMPL_NEUTRAL.pkl", small)
    with pytest.raises(ArtifactError, match="cannot write"):
        import_smpl(path, path / "out.npz")
