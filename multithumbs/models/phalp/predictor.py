"""The pose predictor: a track's past poses in, its poses at every moment of a window out.

It is the "LART" transformer that PHALP ships. Its configuration file is not public, so its
dimensions are read from the tensors (facts/phalp.md section 2).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from multithumbs.errors import CheckpointError

POSE_ENTRIES = 229
"""Root rotation 9, body rotations 207, betas 10, camera 3."""
NUM_ROTATIONS = 24
NUM_BETAS = 10
NUM_CAMERA = 3
HEAD_STEPS = 3
"""Times the SMPL head corrects its own estimate."""
STD_FLOOR = 1e-10
LATEST_HORIZON = 1

_DROPPED = ("class_token", "pos_embedding", "pe", "transformer", "action_head_ava")
"""Parts of the file that a prediction does not pass through: action recognition, and two position
tables and a transformer that nothing reads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictorArchitecture:
    """Dimensions; the defaults are LART's published ones."""

    width: int = 512
    frames: int = 125
    """Length of the window."""
    depth: int = 16
    heads: int = 16
    head_width: int = 64
    mlp: int = 512
    pose_hidden: int = 229
    smpl_hidden: int = 1024
    stride: int = 5
    kernel: int = 7

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor], *, head_width: int = 64) -> "PredictorArchitecture":
        """Dimensions of the file's tensors under our names (`predictor_name`).

        The width of an attention head is in no tensor's shape. Of the strides that divide the
        window and go with the kernel's parity the longest is meant.

        Raises:
            CheckpointError: tensors that tell the dimensions are missing.
        """
        try:
            width = tensors["mask_token"].shape[0]
            frames = tensors["pos_embedding_learned1"].shape[1]
            qkv = tensors["transformer1.layers.0.0.fn.to_qkv.weight"].shape[0]
            mlp = tensors["transformer1.layers.0.1.fn.net.0.weight"].shape[0]
            kernel = tensors["conv_en.weight"].shape[2]
            pose_hidden = tensors["pose_shape_encoder.0.weight"].shape[0]
            smpl_hidden = tensors["smpl_head.0.fc1.weight"].shape[0]
        except (KeyError, IndexError) as error:
            raise CheckpointError(
                f"the pose predictor's file lacks {error}; expected PHALP's pose_predictor"
            ) from error
        layers = [key.split(".")[2] for key in tensors if key.startswith("transformer1.layers.")]
        strides = [s for s in range(kernel, 0, -2) if frames % s == 0]
        if not strides or qkv % (3 * head_width):
            raise CheckpointError(
                f"the pose predictor's dimensions do not fit together (window {frames}, kernel "
                f"{kernel}, attention {qkv}, heads of {head_width}); set the width of its heads"
            )
        return cls(
            width=width,
            frames=frames,
            depth=1 + max(int(layer) for layer in layers),
            heads=qkv // 3 // head_width,
            head_width=head_width,
            mlp=mlp,
            pose_hidden=pose_hidden,
            smpl_hidden=smpl_hidden,
            stride=strides[0],
            kernel=kernel,
        )


class PosePredictor(nn.Module):
    """Two transformers with a bottleneck in time between them; names are the released file's."""

    def __init__(self, architecture: PredictorArchitecture | None = None) -> None:
        super().__init__()
        self.architecture = size = architecture or PredictorArchitecture()
        self.mask_token = nn.Parameter(torch.zeros(size.width))
        self.pos_embedding_learned1 = nn.Parameter(torch.zeros(1, size.frames, size.width))
        self.pos_embedding_learned2 = nn.Parameter(torch.zeros(1, size.frames, size.width))
        self.pose_shape_encoder = nn.Sequential(
            nn.Linear(POSE_ENTRIES, size.pose_hidden),
            nn.ReLU(),
            nn.Linear(size.pose_hidden, size.width),
        )
        self.transformer1 = _Transformer(size, size.depth)
        self.transformer2 = _Transformer(size, 1)
        shared = (size.width, size.width, size.kernel, size.stride)
        padding = (size.kernel - size.stride) // 2
        self.conv_en = nn.Conv1d(*shared, padding=padding)
        self.conv_de = nn.ConvTranspose1d(*shared, padding=padding)
        self.smpl_head = nn.ModuleList([_SmplHead(size)])
        # Indices 1 and 3 are rectifiers, as in the file.
        self.loca_head = nn.ModuleList(
            [
                nn.Sequential(
                    nn.Linear(size.width, size.width),
                    nn.ReLU(),
                    nn.Linear(size.width, size.width),
                    nn.ReLU(),
                    nn.Linear(size.width, NUM_CAMERA),
                )
            ]
        )

    def forward(
        self, pose: Float[Tensor, "B F 229"], seen: Bool[Tensor, "B F"]
    ) -> Float[Tensor, "B F 229"]:
        """Poses at every moment of the window, from normalised poses where ``seen``."""
        x = self.pose_shape_encoder(pose)
        x = torch.where(seen[..., None], x, self.mask_token)
        x = self.transformer1(x + self.pos_embedding_learned1, seen)
        x = self.conv_de(self.conv_en(x.transpose(1, 2))).transpose(1, 2)
        x = self.transformer2(x + self.pos_embedding_learned2, torch.ones_like(seen))
        return torch.cat([self.smpl_head[0](x), self.loca_head[0](x)], dim=-1)

    def predict_next(
        self,
        pose: Float[Tensor, "B H 229"],
        frame: Int[Tensor, "B H"],
        elapsed: Int[Tensor, " B"],
        mean: Float[Tensor, " 229"],
        std: Float[Tensor, " 229"],
    ) -> Float[Tensor, "B 229"]:
        """The pose one frame after ``elapsed`` frames without a sight of each track.

        Poses are placed by their frame's distance from the history's first; of two at one place
        the later counts. Each track is read at its own moment (upstream's reading of several
        tracks at the first track's moment is a slip).
        """
        last = self.architecture.frames - 1
        place = (frame - frame[:, :1]).clamp(0, last)
        window = pose.new_zeros(len(pose), last + 1, POSE_ENTRIES)
        seen = torch.zeros(window.shape[:2], dtype=torch.bool, device=pose.device)
        track = torch.arange(len(pose), device=pose.device)
        for step in range(pose.shape[1]):
            window[track, place[:, step]] = pose[:, step]
            seen[track, place[:, step]] = True
        output = self((window - mean) / (std + STD_FLOOR), seen)
        wanted = (place[:, -1] + elapsed + LATEST_HORIZON).clamp(max=last)
        return output[track, wanted]


def predictor_name(official: str) -> str | None:
    """Our name of a tensor of the released file; None for one that no prediction needs."""
    name = official.removeprefix("encoder.")
    part, _, rest = name.partition(".")
    # Of several heads the first is read.
    other = part in ("smpl_head", "loca_head") and not rest.startswith("0.")
    return None if part in _DROPPED or other else name


class _Normed(nn.Module):
    """Layer normalisation before a part, named as in the file."""

    def __init__(self, width: int, part: nn.Module) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.fn = part

    def forward(self, x: Float[Tensor, "B F W"], *rest: Tensor) -> Tensor:
        return self.fn(self.norm(x), *rest)


class _Attention(nn.Module):
    def __init__(self, size: PredictorArchitecture) -> None:
        super().__init__()
        inner = size.heads * size.head_width
        self.heads = size.heads
        self.to_qkv = nn.Linear(size.width, 3 * inner, bias=False)
        self.to_out = nn.Sequential(nn.Linear(inner, size.width))

    def forward(self, x: Float[Tensor, "B F W"], seen: Bool[Tensor, "B F"]) -> Tensor:
        parts = self.to_qkv(x).unflatten(-1, (3, self.heads, -1))
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(
            query, key, value, attn_mask=seen[:, None, None, :]
        )
        return self.to_out(mixed.transpose(1, 2).flatten(2))


class _FeedForward(nn.Module):
    def __init__(self, size: PredictorArchitecture) -> None:
        super().__init__()
        # Indices 1, 2 and 4 are the activation and dropout, which has no effect here.
        self.net = nn.Sequential(
            nn.Linear(size.width, size.mlp),
            nn.GELU(),
            nn.Identity(),
            nn.Linear(size.mlp, size.width),
        )

    def forward(self, x: Float[Tensor, "B F W"]) -> Tensor:
        return self.net(x)


class _Transformer(nn.Module):
    def __init__(self, size: PredictorArchitecture, depth: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.ModuleList(
                [
                    _Normed(size.width, _Attention(size)),
                    _Normed(size.width, _FeedForward(size)),
                ]
            )
            for _ in range(depth)
        )

    def forward(self, x: Float[Tensor, "B F W"], seen: Bool[Tensor, "B F"]) -> Tensor:
        for layer in self.layers:
            attend, feed = layer.children()
            x = x + attend(x, seen)
            x = x + feed(x)
        return x


class _SmplHead(nn.Module):
    """Pose and shape by three corrections of their mean."""

    init_body_pose: Tensor
    init_betas: Tensor
    init_cam: Tensor

    def __init__(self, size: PredictorArchitecture) -> None:
        super().__init__()
        pose = 6 * NUM_ROTATIONS
        known = pose + NUM_BETAS + NUM_CAMERA
        self.register_buffer("init_body_pose", torch.zeros(1, pose))
        self.register_buffer("init_betas", torch.zeros(1, NUM_BETAS))
        self.register_buffer("init_cam", torch.zeros(1, NUM_CAMERA))
        self.fc1 = nn.Linear(size.width + known, size.smpl_hidden)
        self.fc2 = nn.Linear(size.smpl_hidden, size.smpl_hidden)
        self.decpose = nn.Linear(size.smpl_hidden, pose)
        self.decshape = nn.Linear(size.smpl_hidden, NUM_BETAS)
        self.deccam = nn.Linear(size.smpl_hidden, NUM_CAMERA)

    def forward(self, token: Float[Tensor, "B F W"]) -> Float[Tensor, "B F 226"]:
        shape = token.shape[:-1]
        pose = self.init_body_pose.expand(*shape, -1)
        betas = self.init_betas.expand(*shape, -1)
        camera = self.init_cam.expand(*shape, -1)
        for _ in range(HEAD_STEPS):
            hidden = functional.relu(self.fc1(torch.cat([token, pose, betas, camera], dim=-1)))
            hidden = functional.relu(self.fc2(hidden))
            pose = pose + self.decpose(hidden)
            betas = betas + self.decshape(hidden)
            camera = camera + self.deccam(hidden)
        return torch.cat([_rotations(pose).flatten(-3), betas], dim=-1)


def _rotations(six: Float[Tensor, "*batch 144"]) -> Float[Tensor, "*batch 24 3 3"]:
    """Gram-Schmidt on each joint's two vectors (the first three numbers, then the others), which
    become the matrix's first columns."""
    first, second = six.unflatten(-1, (NUM_ROTATIONS, 2, 3)).unbind(-2)
    x = functional.normalize(first, dim=-1)
    y = functional.normalize(second - (x * second).sum(-1, keepdim=True) * x, dim=-1)
    return torch.stack([x, y, torch.linalg.cross(x, y)], dim=-1)
