"""The key of an item: equal keys mean equal results, whatever the time, machine or path."""

import hashlib
import json
from collections.abc import Mapping
from typing import Final

from pydantic import BaseModel

from multithumbs.runner.table import Item, Stage

KEY_VERSION = 1
"""Raise it when keys are made of other things than before."""


SPEED_FIELDS: Final = frozenset({"batch", "compile"})
"""Fields of these names say how fast, never what: a batch that did not fit into memory and was
halved must not make everything new."""


def item_key(
    stage: Stage,
    item: Item,
    *,
    video_sha256: str,
    config: BaseModel,
    checkpoints: Mapping[str, str],
    body_sha256: str,
    inputs: Mapping[str, tuple[str, ...]],
) -> str:
    """sha256 over everything that an item's result may depend on.

    Args:
        stage: its name and version count, not its code.
        item: its frames count, not its index: a cut found earlier in the video moves the index.
        video_sha256: digest of the video file.
        config: the stage's own configuration, defaults filled in; `SPEED_FIELDS` do not count.
        checkpoints: sha256 by name.
        body_sha256: counts if the stage uses the body.
        inputs: content digests of the artifacts that the item reads, by stage.
    """
    parts = {
        "key": KEY_VERSION,
        "stage": stage.name,
        "version": stage.version,
        "video": video_sha256,
        "frames": item.frames,
        "config": config.model_dump(mode="json", exclude=set(SPEED_FIELDS)),
        "checkpoints": dict(checkpoints),
        "body": body_sha256 if stage.uses_body else None,
        "inputs": {name: list(digests) for name, digests in inputs.items()},
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
