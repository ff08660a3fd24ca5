"""Cutting a data set by scene, never by frame: neighbouring frames of one video would leak from training into test."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from hashlib import blake2b

from cliffkit.errors import UserError

SPLITS = ("train", "val", "test")


def check_split(dataset: str, split: str) -> None:
    """Raise UserError unless `split` is one of the three."""
    if split not in SPLITS:
        raise UserError(f"{dataset}: there is no split '{split}'; the splits are {', '.join(SPLITS)}")


def check_shares(dataset: str, **shares: float) -> None:
    """Raise UserError unless each share lies strictly between 0 and 1 and something is left for training."""
    for name, share in shares.items():
        if not 0 < share < 1:
            raise UserError(f"{dataset}: {name} is {share}; a share of the frames lies between 0 and 1, both excluded")
    if not sum(shares.values()) < 1:
        raise UserError(f"{dataset}: {' + '.join(shares)} is {sum(shares.values()):g}; leave some share for training")


def cut_by_scene(frames: Mapping[str, int], shares: Mapping[str, float]) -> dict[str, str]:
    """Deal every scene to one of the splits in `shares` or to "train"; each gets at least one scene.

    `frames` counts each scene's images; there must be more scenes than `shares` has splits. Each of `shares` is a
    share of the images, met roughly, since scenes go whole, and not exceeded unless by a split's only scene.

    The largest scene trains. The others are dealt in the order of a fixed hash of their names, so that the cut depends
    on names, counts and shares alone: each goes to the split that is farthest from its share and has room for it, else
    to training, which keeps at least half of the scenes (or its own share, where that is less): without that a few
    long videos would be all that trains. A split left with none takes the smallest scene that another can spare.
    """
    assert len(frames) > len(shares)
    order = sorted(frames, key=lambda scene: blake2b(scene.encode()).digest())
    largest = max(order, key=lambda scene: frames[scene])
    target = {split: max(1, round(share * sum(frames.values()))) for split, share in shares.items()}
    room = dict(target)
    scenes_left = int(len(frames) * max(0.5, sum(shares.values())))
    split_of = {largest: "train"}
    for scene in order:
        if scene == largest:
            continue
        fitting = [split for split in shares if scenes_left > 0 and frames[scene] <= room[split]]
        split = max(fitting, key=lambda split: room[split] / target[split], default="train")
        split_of[scene] = split
        if split in room:
            room[split] -= frames[scene]
            scenes_left -= 1
    for split in shares:
        if split not in split_of.values():
            held = Counter(split_of.values())
            spare = [scene for scene in order if scene != largest and held[split_of[scene]] > 1]
            split_of[min(spare, key=lambda scene: frames[scene])] = split
    return split_of
