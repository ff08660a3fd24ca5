"""A training step of the authors' network, 256 channels at 228x304, beside what the processor's matrix products allow.

The operations that a step needs are counted at the sizes of the authors' levels, 57x76 to 8x10.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import torch
import torch.nn.functional as F
from harness import Row, progress, row, seconds
from parts import NYU_SIZE, SCENE_TYPES, BareLoop, Turn, random_pack, recipe, write_random_pack
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode
from training import naive_in_turns, ours_in_turns

from cliffkit.method.assemble import assemble

BATCH = 8
SETS = [
    "model.backbone.use=timm",
    "model.backbone.name=resnet50",
    "model.pyramid.channels=256",
    NYU_SIZE,
    f"train.depth.batch={BATCH}",
]
RECIPE = "cliff_hegS"
WIDTH = 2048
"""Height and width of the matrices whose product gives the processor's rate."""
PAIRS = 5


def rows() -> list[Row]:
    """The step beside the rate of bfloat16 products, and beside the loop that users write."""
    operations = BATCH * operations_of_an_image()
    products = {dtype: rate(dtype) for dtype in (torch.bfloat16, torch.float32)}
    gain = products[torch.bfloat16] / products[torch.float32]
    progress(f"{operations / BATCH / 1e9:.0f} GFLOP an image; products in bf16 {gain:.2f} times as fast as in fp32")

    against_products, against_users = [], []
    with TemporaryDirectory() as folder:
        pack = write_random_pack(Path(folder) / "pack", 4 * BATCH, (228, 304))
        ours, theirs = Turn(ours_in_turns, RECIPE, SETS, pack), Turn(naive_in_turns, RECIPE, SETS, pack)
        ours.advance(), theirs.advance()
        for _ in range(PAIRS):
            own = ours.advance()
            against_products.append((own, operations / rate(torch.bfloat16)))
            against_users.append((own, theirs.advance()))
        ours.close(), theirs.close()

    what = f"authors' network: ResNet-50, 256 channels, HEG-S, 228x304, batch {BATCH}, optimiser included"
    count = f"{operations / BATCH / 1e9:.0f} GFLOP an image"
    counted = f"{count}; a product in fp32 takes {gain:.2f} times as long"
    return [
        row(what, "its operations at the rate of bf16 matrix products here", against_products, ">= 0.9", counted),
        row(what, "the loop users write", against_users, f">= {1.15 * gain:.3g}", "1.15 times bf16 over fp32 products"),
        shares(),
    ]


def shares() -> Row:
    """What part of a bare step convolutions take, and what the next operations take, by torch's profiler."""
    progress("what takes the time")
    with random_pack(2 * BATCH, (228, 304)) as pack:
        loop = BareLoop(recipe(RECIPE, *SETS), pack)
        loop.steps(2)
        with profile(activities=[ProfilerActivity.CPU]) as profiled:
            loop.steps(3)
    taken: dict[str, float] = {}
    for event in profiled.key_averages():
        name = "convolutions" if "convolution" in event.key else event.key.removeprefix("aten::")
        taken[name] = taken.get(name, 0) + event.self_cpu_time_total
    share = {name: time / sum(taken.values()) for name, time in taken.items()}
    first, *others = sorted(share, key=lambda name: -share[name])[:7]
    most = ", ".join(f"{name} {share[name]:.1%}" for name in others)
    return Row(f"the same, {first}", "a bare step", share[first], (share[first], share[first]), "", most)


def operations_of_an_image() -> float:
    """Floating-point operations of a step per image: the network forward and backward, both maps' embeddings.

    Two operations per multiplication and addition.
    """
    modules = assemble(recipe(RECIPE, *SETS), SCENE_TYPES)
    network, image, depth = modules.network.eval(), torch.zeros(1, 3, 228, 304), torch.zeros(1, 1, 228, 304)
    assert modules.hierarchical is not None
    with FlopCounterMode(display=False) as counter:
        network(image).sum().backward()
        with torch.no_grad():
            modules.hierarchical.embedding(depth)
        sum(level.sum() for level in modules.hierarchical.embedding(depth.requires_grad_())).backward()
    return float(counter.get_total_flops())


def rate(dtype: torch.dtype) -> float:
    """Operations a second of matrix products on all threads, the best of some.

    The product is written as a 1x1 convolution, which oneDNN computes in either type. Torch gives fp32 products proper
    to MKL, which took twice as long on an AMD processor, and would make bf16 look four times as fast as fp32.
    """
    pixels = torch.randn(1, WIDTH, 32, WIDTH // 32).to(dtype, memory_format=torch.channels_last)
    weights = torch.randn(WIDTH, WIDTH, 1, 1).to(dtype, memory_format=torch.channels_last)
    with torch.no_grad():
        return float(2 * WIDTH**3 / min(seconds(lambda: F.conv2d(pixels, weights)) for _ in range(8)))
