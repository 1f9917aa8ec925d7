"""Checkpoints of the whole paper profile with tiny random networks, as their publishers pack them.

`OVERRIDES` are the configuration under which the adapters take them for the real ones.
"""

import dataclasses
import sys
import types
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from multithumbs.backends import checkpoints, needs
from multithumbs.backends.checkpoints import CHECKPOINTS
from multithumbs.backends.tracks.phalp import SMPL_FACES
from multithumbs.body import EMBEDDED_BODY
from multithumbs.body.safe_import import SMPL_LICENCE
from multithumbs.body.storage import read_body_file, write_body_file
from multithumbs.config.compose import load_config
from multithumbs.config.root import Config

OVERRIDES = (
    "profile=paper",
    "runtime.device=cpu",
    "runtime.threads=1",
    # the detector's random boxes, few and large enough to be people
    "detections.architecture={swin_width: 8, swin_depths: [1, 1, 1, 1], swin_heads: [1, 1, 2, 2],"
    " swin_window: 4, text_width: 16, text_depth: 1, text_heads: 2, text_hidden: 16, width: 32,"
    " heads: 2, hidden: 16, layers: 2, queries: 20}",
    "detections.shortest_px=64",
    "detections.min_score=0.000001",
    "detections.min_height_px=0",
    "detections.max_people=2",
    "detections.max_iou=0.95",
    "keypoints.architecture={hidden_size: 16, layers: 1, heads: 2, deconvolution_channels: 8}",
    "masks.architecture={image_size: 128, width: 8, heads: 1, blocks: [1, 1, 2, 1],"
    " windows: [4, 4, 4, 4], global_blocks: [3], channels: 128, memory_layers: 1,"
    " decoder_mlp: 16}",
    "bodies.architecture={width: 16, depth: 1, heads: 2, head_width: 16, head_depth: 1,"
    " head_heads: 2, head_dim: 8, head_mlp: 16}",
    "tracks.min_box_wh_px=[0, 0]",
    "tracks.confirm_hits=1",
    "tracks.max_cost=1000000000",
    "boundaries.architecture={image_size: 56, width: 16, encoder_depth: 1, encoder_heads: 2,"
    " depth: 2, heads: 2, camera_depth: 1, camera_heads: 2, taps: [0, 0, 1, 1],"
    " dpt_features: 8, dpt_channels: [8, 8, 8, 8]}",
    "odometry.architecture={features: 8, hidden: 8}",
    "odometry.area_px=4096",
    "odometry.warmup=5",
    "odometry.backend_steps=[1]",
    "shots.min_shot_s=0.2",
    "people.vposer={neurons: 16, latent: 8}",
)


def overrides(root: Path) -> list[str]:
    """The profile with tiny networks, whose files `write_all` put below ``root``."""
    return [*OVERRIDES, f"runtime.checkpoints={root}"]


def tiny_config(root: Path, *more: str) -> Config:
    """`overrides` and more, loaded."""
    return load_config([*overrides(root), *more])


@contextmanager
def trusted_on_first_use() -> Iterator[None]:
    """Published hashes are those of other weights."""
    entries = {n: dataclasses.replace(c, sha256=None) for n, c in CHECKPOINTS.items()}
    with pytest.MonkeyPatch.context() as patch:
        for module in (checkpoints, needs):
            patch.setattr(module, "CHECKPOINTS", MappingProxyType(entries))
        yield


def write_all(root: Path) -> None:
    """Every checkpoint of `OVERRIDES`, and a body under SMPL's name, below ``root``."""
    torch.manual_seed(0)
    config = tiny_config(root)
    _smpl(root / "smpl" / "smpl.npz")
    write = {
        "grounding-dino-tiny": _grounding_dino,
        "vitpose-h-wholebody": _vitpose,
        "sam2.1-hiera-l": _sam2,
        "hmr2": _hmr2,
        "phalp-hmar": _phalp,
        "phalp-texel-faces": _texel_faces,
        "phalp-texel-weights": _texel_weights,
        "vggt-1b": _vggt,
        "droid": _droid,
        "vposer": _vposer,
    }
    for name, save in write.items():
        path = root / name / CHECKPOINTS[name].filename
        path.parent.mkdir()
        save(config, path)


def _smpl(path: Path) -> None:
    """A body with what an imported SMPL has (also its number of faces), and without what it
    lacks: an atlas and parts."""
    tables, _ = read_body_file(EMBEDDED_BODY)
    lacking = {
        "faces": tables.faces[:SMPL_FACES],
        "uv": np.zeros((0, 2)),
        "face_uv_index": np.zeros((0, 3), np.int64),
        "vertex_part": np.zeros(0, np.int64),
    }
    path.parent.mkdir(parents=True)
    named = {"name": "SMPL_NEUTRAL", "licence": SMPL_LICENCE}
    write_body_file(path, dataclasses.replace(tables, **named, **lacking).checked())


def _tensors(network: nn.Module, spread: float = 0.02) -> dict[str, Tensor]:
    """Official initialisations are too tame to show anything: everything is moved a little."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter) * spread)
    return {name: tensor.contiguous() for name, tensor in network.state_dict().items()}


def _grounding_dino(config: Any, path: Path) -> None:
    import transformers

    from multithumbs.backends.detections.grounding_dino import library_config

    sizes = library_config(config.detections.sizes)
    network = transformers.GroundingDinoForObjectDetection(sizes)
    _tensors(network, 0.05)
    transformers.utils.logging.disable_progress_bar()
    network.save_pretrained(path.parent)  # model.safetensors, tied tensors once


def _vitpose(config: Any, path: Path) -> None:
    """As mmcv saves: the form before zip files."""
    from multithumbs.models.vitpose import build, official_from_ours

    network = build(config.keypoints.architecture, config.keypoints.head)
    content = {"meta": {"epoch": 210}, "state_dict": official_from_ours(_tensors(network))}
    torch.save(content, path, _use_new_zipfile_serialization=False)


def _sam2(config: Any, path: Path) -> None:
    from multithumbs.models.sam import build_sam2
    from multithumbs.models.sam.checkpoint_sam2 import official_from_ours

    network = build_sam2(config.masks.architecture, video=True)
    torch.save({"model": official_from_ours(_tensors(network))}, path)


def _hmr2(config: Any, path: Path) -> None:
    """As Lightning saves: with the training's configuration, of a class that is not installed.

    The mean pose stands upright in the middle of the crop; the random network adds to it.
    """
    from multithumbs.models.hmr2 import HMR2

    network = HMR2(config.bodies.architecture)
    tensors = _tensors(network, 0.005)
    upright = torch.eye(3)[:, :2].T.reshape(6).repeat(24)
    upright[:6] = torch.tensor([1.0, 0, 0, 0, -1, 0])  # half a turn about x: up is -y
    tensors["smpl_head.init_body_pose"] = upright[None]
    tensors["smpl_head.init_cam"] = torch.tensor([[0.9, 0.0, 0.0]])
    with pytest.MonkeyPatch.context() as patch:
        module = types.ModuleType("yacs.config")
        module.CfgNode = type("CfgNode", (dict,), {"__module__": "yacs.config"})  # type: ignore
        patch.setitem(sys.modules, "yacs", types.ModuleType("yacs"))
        patch.setitem(sys.modules, "yacs.config", module)
        content = {
            "epoch": 35,
            "global_step": 1_000_000,
            "state_dict": OrderedDict(
                tensors
                | {"initialized": torch.tensor(True), "discriminator.a": torch.ones(2)}
                | {"smpl.betas": torch.ones(1, 10)}
            ),
            "hyper_parameters": {"cfg": module.CfgNode(TRAIN=module.CfgNode(LR=1e-5))},
        }
        torch.save(content, path)


def _phalp(config: Any, path: Path) -> None:
    from multithumbs.models.phalp import AppearanceEncoder

    kept = {f"hmar_{name}": t for name, t in _tensors(AppearanceEncoder()).items()}
    dropped = ("hmar_backbone.conv1.weight", "hmar_encoding_head.t_conv1.weight")
    torch.save({"model": kept | {name: torch.ones(2) for name in dropped}}, path)


def _texel_faces(config: Any, path: Path) -> None:
    faces = np.arange(256 * 256).reshape(256, 256) * 7 % SMPL_FACES
    faces[:, :40] = -1
    np.save(path, faces.astype(np.int32))


def _texel_weights(config: Any, path: Path) -> None:
    np.save(path, np.full((256, 256, 3), 1 / 3))


def _vggt(config: Any, path: Path) -> None:
    from safetensors.torch import save_file

    from multithumbs.models.vggt import Vggt

    tensors = _tensors(Vggt(config.boundaries.architecture))
    # Four refinements add up to a camera: no rotation (w = 1), 1 rad of view.
    tensors["camera_head.pose_branch.fc2.bias"] = torch.tensor([0.0] * 6 + [0.25] * 3)
    save_file(tensors | {"track_head.a": torch.ones(3)}, path)


def _droid(config: Any, path: Path) -> None:
    """As the parallel wrapper saved it, its heads with a third row."""
    from multithumbs.models.droid import Architecture, Droid

    sizes = config.odometry.architecture
    tensors = _tensors(Droid(Architecture(features=sizes.features, hidden=sizes.hidden)))
    for name in tensors:
        if name.startswith(("update.weight.2.", "update.delta.2.")):
            tensors[name] = torch.cat([tensors[name], tensors[name][:1]])
    torch.save(OrderedDict((f"module.{name}", t) for name, t in tensors.items()), path)


def _vposer(config: Any, path: Path) -> None:
    from multithumbs.models.vposer import VPoser

    tensors = {f"vp_model.{n}": t for n, t in _tensors(VPoser(config.people.vposer)).items()}
    torch.save({"state_dict": tensors | {"bm_train.betas": torch.ones(1)}, "epoch": 13}, path)
