"""What the hierarchical loss adds to a training step."""

from __future__ import annotations

from harness import Row, paired, progress, row
from parts import NYU_SIZE, BareLoop, random_pack, recipe

HANDBUILT = ["model.backbone.use=handbuilt", "model.pyramid.use=symmetric"]
CASES = {
    "ResNet-50, HEG-S": ("cliff_hegS", ["model.backbone.name=resnet50"], "<= 1.05"),
    "ResNet-50, HEG-R": ("cliff_hegR", ["model.backbone.name=resnet50"], ""),
    "hand-built encoder, HEG-S": ("handbuilt_cliff_hegR", ["embedding.use=heg_s"], "<= 2"),
    "hand-built encoder, HEG-R": ("handbuilt_cliff_hegR", [], ""),
}
PAIRS = 9


def rows() -> list[Row]:
    """Steps with both levels of the embedding against steps without."""
    found = []
    for what, (name, sets, target) in CASES.items():
        progress(what)
        of = [recipe(name, NYU_SIZE, "train.depth.batch=8", *sets, *more) for more in ([], ["embedding.use=none"])]
        with random_pack(16, (228, 304)) as pack:
            own, other = (BareLoop(each, pack) for each in of)
        pairs = paired(lambda own=own: own.steps(1), lambda other=other: other.steps(1), PAIRS)
        found.append(row(f"hierarchical loss: {what}, both levels, 228x304, batch 8", "without it", pairs, target))
    return found
