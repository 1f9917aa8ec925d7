"""The paper profile's networks at full size with random weights: speed, memory, best batches.

``scripts/bench_networks.py`` runs it; the published figures beside ours are those of
``facts/peers.md`` section 4, ``facts/vggt.md`` and ``facts/hmr2.md``.
"""

from collections.abc import Callable, Mapping
from importlib.metadata import version
from types import MappingProxyType
from typing import Final

import torch

from multithumbs.bench import networks_people, networks_scene
from multithumbs.bench.networks_measure import (
    MEMORY,
    MS_PER_ITEM,
    RATE,
    SECONDS,
    Findings,
    Row,
)
from multithumbs.bench.networks_setup import Bench
from multithumbs.bench.provenance import provenance

MODELS: Final[Mapping[str, Callable[[Bench], Findings]]] = MappingProxyType(
    {
        "detections": networks_people.measure_detections,
        "vitpose": networks_people.measure_vitpose,
        "hmr2": networks_people.measure_hmr2,
        "masks": networks_people.measure_masks,
        "vggt": networks_scene.measure_vggt,
        "droid": networks_scene.measure_droid,
        "vposer": networks_scene.measure_vposer,
        "solvers": networks_scene.measure_solvers,
    }
)
ITEMS: Final = MappingProxyType(
    {"bodies": "person", "keypoints": "person", "people": "pose", "boundaries": "frame"}
)
"""What a batch is made of, where it is not frames."""

TOGETHER: Final = "detections + keypoints + bodies"
TARGETS: Final = MappingProxyType(
    {
        TOGETHER: (">= 30 frames/s", RATE, 30.0),
        "masks": (">= 10 frames/s", RATE, 10.0),
        "vggt, 2 frames": ("<= 0.3 s", SECONDS, 0.3),
        "odometry": (">= 30 frames/s", RATE, 30.0),
    }
)
"""Of issues 4 and 5; by stage, or by what is measured."""
PUBLISHED: Final = MappingProxyType(
    {
        "hmr2": "32 ms a forward pass, RTX 3090 (4DHumans #92); 9.5 GB for its demo (#117)",
        TOGETHER: "4DHumans' track.py: 1300 frames in about 12 min, RTX 4090 (#27), tracking and "
        "rendering included",
        "vggt, 2 frames, trunk alone": "0.05 s and 2.07 GB, H100 with FlashAttention 3",
        "vggt": "trunk alone: 1.9 GB for 1 frame, 3.6 GB for 10, H100",
        "odometry": "none found",
        "masks": "none found",
        "keypoints": "none found",
        "detections": "none found",
    }
)


def report(found: Findings, bench: Bench) -> str:
    """The tables in Markdown."""
    height, width = bench.scale.hw
    kind = "allocated on the device" if bench.meter.cuda else "resident set of the process"
    head = [
        "# Networks of the paper profile with random weights",
        "",
        provenance("networks"),
        "",
        f"Device {_device(bench)}; transformers {_version('transformers')}, warp "
        f"{_version('warp-lang')}. {height}x{width}, 3 people in every frame"
        f"{'; TINY networks: these figures mean nothing' if bench.scale.tiny else ''}. Median "
        f"times after a warm-up, transfers included; peak memory is what is {kind}, weights "
        "included. Whole stages decode the video, crop, run the network and post-process; "
        "loading is left out.",
        "",
    ]
    parts = ["## Stages", "", *stage_table(found.rows), "", "## By batch", ""]
    parts += [*batch_table(found.rows), ""]
    if found.notes:
        parts += ["## Notes", "", *(f"- {note}" for note in found.notes), ""]
    parts += [
        "Published, whole pipelines: Multi-THuMBS 150 frames of 1080p in about 10 min, RTX 3090; "
        "Human3R 15 frames/s and 8 GB; WHAM, TRAM, CoMotion, HSfM, JOSH and DROID-SLAM publish no "
        "comparable figure (facts/peers.md section 4).",
        "",
    ]
    return "\n".join([*head, *parts])


def stage_table(rows: list[Row]) -> list[str]:
    """What has no batch, or is a whole stage; the targets, and what is published."""
    table = [
        "| stage | what | figure | target | reached | published |",
        "|---|---|---:|---|---|---|",
    ]
    chosen = [r for r in rows if r.unit not in (MS_PER_ITEM, MEMORY) or r.batch is None]
    for row in [*chosen, *together(rows)]:
        batch = f" (batch {row.batch})" if row.batch else ""
        target, reached = judged(row)
        published = _published(row)
        table.append(
            f"| {row.stage} | {row.what}{batch} | {row.value:.4g} {row.unit} | {target} | "
            f"{reached} | {published} |"
        )
    return table


def judged(row: Row) -> tuple[str, str]:
    """A row's target and whether it is reached; dashes where it has none."""
    text, unit, value = TARGETS.get(row.what, TARGETS.get(row.stage, ("", "", 0.0)))
    if not unit or row.unit != unit:
        return "-", "-"
    reached = row.value <= value if unit == SECONDS else row.value >= value
    return text, "yes" if reached else "no"


def together(rows: list[Row]) -> list[Row]:
    """The three stages one after another on each frame, for each detector."""
    rate = {row.what.split(",")[0]: row.value for row in rows if row.unit == RATE}
    return [
        Row(
            stage=TOGETHER,
            what=f"{detector} + vitpose + hmr2",
            unit=RATE,
            value=1 / sum(1 / rate[what] for what in (detector, "vitpose", "hmr2")),
        )
        for detector in ("grounding_dino", "rtdetr")
        if {detector, "vitpose", "hmr2"} <= rate.keys()
    ]


def batch_table(rows: list[Row]) -> list[str]:
    """Milliseconds per item, and peak memory, by batch; the best in bold."""
    sizes = sorted({row.batch for row in rows if row.unit == MS_PER_ITEM and row.batch})
    if not sizes:
        return ["(nothing was measured)"]
    table = [
        "| what | item | unit | " + " | ".join(map(str, sizes)) + " | best batch |",
        "|---|---|---|" + "---:|" * len(sizes) + "---:|",
    ]
    for what in dict.fromkeys(row.what for row in rows if row.unit == MS_PER_ITEM):
        own = [row for row in rows if row.what == what]
        item = ITEMS.get(own[0].stage, "frame")
        speed = {row.batch: row.value for row in own if row.unit == MS_PER_ITEM}
        best = min(speed, key=lambda batch: speed[batch])
        memory = {row.batch: row.value for row in own if row.unit == MEMORY}
        for unit, values, digits in ((MS_PER_ITEM, speed, 4), (MEMORY, memory, 3)):
            cells = [f"{values[n]:.{digits}g}" if n in values else "-" for n in sizes]
            if unit == MS_PER_ITEM:
                cells[sizes.index(best or 0)] = f"**{speed[best]:.4g}**"
            last = str(best) if unit == MS_PER_ITEM else ""
            table.append(f"| {what} | {item} | {unit} | " + " | ".join(cells) + f" | {last} |")
    return table


def _published(row: Row) -> str:
    for name in (row.what, row.what.split(",")[0], row.stage):
        if name in PUBLISHED:
            return PUBLISHED[name]
    return "-"


def _device(bench: Bench) -> str:
    if not bench.meter.cuda:
        return f"cpu, {torch.get_num_threads()} threads"
    facts = torch.cuda.get_device_properties(bench.meter.device)
    return (
        f"{facts.name}, {facts.total_memory / 2**30:.0f} GiB, CUDA {torch.version.cuda}, cuDNN "
        f"{torch.backends.cudnn.version()}"
    )


def _version(package: str) -> str:
    try:
        return version(package)
    except ModuleNotFoundError:
        return "missing"
