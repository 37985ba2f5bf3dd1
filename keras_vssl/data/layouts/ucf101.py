"""UCF101 (Soomro et al. 2012): 13,320 clips, 101 classes, three splits."""

import os
import re

_GROUP = re.compile(r"_g(\d+)_c\d+", re.IGNORECASE)


def ucf101(folder, split=1):
    """The rows of an official split.

    Args:
        folder: str, `ucfTrainTestlist` with classInd.txt, trainlist0N.txt, testlist0N.txt.
            Its 1-based labels are not used: names sort as the class index does.
        split: 1, 2 or 3.

    Returns:
        list of (path below the videos' folder, label, group, "train" or "test").
    """
    if split not in (1, 2, 3):
        raise ValueError(f"Expected UCF101 split 1, 2 or 3, received {split!r}.")
    rows = []
    for side in ("train", "test"):
        name = os.path.join(folder, f"{side}list{split:02d}.txt")
        if not os.path.isfile(name):
            raise FileNotFoundError(
                f"Expected UCF101's split files in {folder}, but there is no {name}."
            )
        with open(name, encoding="utf-8") as file:
            for line in file:
                path = re.sub(r"\s+\d+$", "", line.strip())  # only the train list has a label
                if not path:
                    continue
                label = path.split("/")[0]
                found = _GROUP.search(path)
                group = f"{label}_g{found.group(1)}" if found else None
                rows.append((path, label, group, side))
    return rows
