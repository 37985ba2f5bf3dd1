"""HMDB51 (Kuehne et al. ICCV 2011): 6,766 clips, 51 classes, three splits."""

import os
import re

# NAME_ACTION_<body>_<camera>_<people>_<view>_<quality>_<number>.avi: what stands before the
# action names the source recording.
_TAGS = re.compile(r"_(?:f|u|l|h)_(?:cm|nm)_np\d+_[a-z]{2}_[a-z]{3}_\d+\.avi$", re.IGNORECASE)


def hmdb51(folder, split=1):
    """The rows of an official split; files marked 0 are on neither side and left out.

    Args:
        folder: str, `testTrainMulti_7030_splits` with CLASS_test_splitN.txt.
        split: 1, 2 or 3.

    Returns:
        list of (path below the videos' folder, label, group, "train" or "test").
    """
    if split not in (1, 2, 3):
        raise ValueError(f"Expected HMDB51 split 1, 2 or 3, received {split!r}.")
    ending = f"_test_split{split}.txt"
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    names = [name for name in names if name.endswith(ending)]
    if not names:
        raise FileNotFoundError(
            f"Expected HMDB51's split files (CLASS{ending}) in {folder}, but found none."
        )
    rows = []
    for name in names:
        label = name[: -len(ending)]
        with open(os.path.join(folder, name), encoding="utf-8") as file:
            for line in file:
                # The mark is the last word: names may hold blanks.
                video, _, mark = line.strip().rpartition(" ")
                side = {"1": "train", "2": "test"}.get(mark)
                if side:
                    rows.append((f"{label}/{video.strip()}", label, _group(video, label), side))
    return rows


def _group(video, label):
    stem = _TAGS.sub("", video.strip())
    source = stem.split(f"_{label}")[0] if f"_{label}" in stem else stem
    return re.sub(r"\d+$", "", source) or stem
