from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cliffkit_datasets.splits import cut_by_scene

SHARES = {"test": 0.2, "val": 0.1}


def frames_of(cut: dict[str, str], frames: dict[str, int]) -> Counter[str]:
    held: Counter[str] = Counter()
    for scene, split in cut.items():
        held[split] += frames[scene]
    return held


@given(st.dictionaries(st.text(), st.integers(1, 40), min_size=3, max_size=60))
def test_every_split_gets_scenes_and_none_is_dealt_twice(frames: dict[str, int]) -> None:
    cut = cut_by_scene(frames, SHARES)
    scenes, held = Counter(cut.values()), frames_of(cut, frames)
    assert cut.keys() == frames.keys()
    assert scenes.keys() == {"train", "val", "test"}
    assert "train" in {cut[scene] for scene in frames if frames[scene] == max(frames.values())}
    for split, share in SHARES.items():
        assert scenes[split] == 1 or held[split] <= max(1, round(share * sum(frames.values())))
    assert cut == cut_by_scene(dict(reversed(frames.items())), SHARES)


@given(st.integers(3, 400))
def test_shares_are_met_where_scenes_are_small(count: int) -> None:
    frames = {f"scene {i}": 1 for i in range(count)}
    held = frames_of(cut_by_scene(frames, SHARES), frames)
    for split, share in SHARES.items():
        assert held[split] == max(1, round(share * count))


def test_long_videos_do_not_push_every_other_scene_out_of_training() -> None:
    frames = {"video 1": 30, "video 2": 30, **{f"still {i}": 1 for i in range(20)}}
    cut = cut_by_scene(frames, SHARES)
    assert cut["video 1"] == cut["video 2"] == "train"
    assert Counter(cut.values())["train"] >= 11


@pytest.mark.parametrize("sizes", [(1, 1, 1), (50, 1, 1), (30, 30, 30), (1, 40, 40)])
def test_three_scenes_make_three_splits(sizes: tuple[int, ...]) -> None:
    cut = cut_by_scene(dict(zip("abc", sizes, strict=True)), SHARES)
    assert sorted(cut.values()) == ["test", "train", "val"]


def test_the_cut_is_the_same_on_every_machine() -> None:
    frames = {f"scene {i}": i for i in range(1, 13)}
    cut = cut_by_scene(frames, SHARES)
    held = {split: [scene for scene in frames if cut[scene] == split] for split in SHARES}
    assert held == {"test": ["scene 1", "scene 2", "scene 4", "scene 9"], "val": ["scene 3", "scene 5"]}
    assert sum(frames.values()) == 78  # 16 images are a fifth, 8 a tenth
