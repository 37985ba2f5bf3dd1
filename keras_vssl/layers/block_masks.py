"""V-JEPA's masks: a few large blocks of a clip, cut out of every frame.

Pure NumPy: the lists of places differ in length from batch to batch, so they are drawn where the
data are read and not on the device.
"""

import math

import numpy as np


def block_size(grid, spatial_scale, temporal_scale, aspect_ratio, draws):
    """The size of a batch's blocks; all clips of a batch share it.

    Args:
        grid: (time, height, width) in tokens.
        spatial_scale, temporal_scale: (low, high), the share of a frame and of the time.
        aspect_ratio: (low, high), height over width.
        draws: 3 floats in [0, 1), for time, space and aspect, in this order.

    Returns:
        (time, height, width) in tokens, within the grid.
    """
    ranges = (temporal_scale, spatial_scale, aspect_ratio)
    time, space, aspect = (low + float(u) * (high - low) for (low, high), u in zip(ranges, draws))
    area = int(grid[1] * grid[2] * space)
    height = min(round(math.sqrt(area * aspect)), grid[1])
    width = min(round(math.sqrt(area / aspect)), grid[2])
    return max(1, int(grid[0] * time)), height, width


def block_indices(grid, size, corners):
    """The places that blocks leave and those that they cover.

    Args:
        grid, size: (time, height, width) in tokens, of the clip and of every block.
        corners: int `[B, blocks, 3]`: top row, left column and first slot of each block.

    Returns:
        int32 `[B, K]` and `[B, M]`, ascending places of context and target. K and M are those of
        the shortest rows: longer ones lose their last places, which are in neither list then.

    Raises:
        ValueError: the blocks of a clip leave nothing; draw other corners.
    """
    covered = [_covered(grid, size, clip) for clip in np.asarray(corners)]
    context, target = (
        [np.flatnonzero(x) for x in masks] for masks in (~np.array(covered), covered)
    )
    if not all(map(len, context)):
        raise ValueError(
            f"Expected corners whose blocks of {size} leave some of the grid {tuple(grid)}, "
            "received ones that cover it; draw again."
        )
    return tuple(
        np.stack([row[: min(map(len, rows))] for row in rows]).astype("int32")
        for rows in (context, target)
    )


def block_masks(batch, grid, blocks, spatial_scale, rng, temporal_scale=(1.0, 1.0)):
    """Draws V-JEPA's masks for a batch: one block size, and each clip's places for itself.

    Args:
        batch: int, B.
        grid: (time, height, width) in tokens.
        blocks: int, a clip. The paper's two kinds of masks are 8 blocks of (0.15, 0.15) and 2 of
            (0.7, 0.7), see Bardes et al. TMLR 2024, Sec. 3.2 (https://arxiv.org/abs/2404.08471).
        spatial_scale, temporal_scale: see `block_size`; the aspect ratio is (0.75, 1.5).
        rng: `np.random.Generator`.

    Returns:
        see `block_indices`.

    Raises:
        ValueError: blocks of this size cover every grid.
    """
    size = block_size(grid, spatial_scale, temporal_scale, (0.75, 1.5), rng.random(3))
    if size == tuple(grid):
        raise ValueError(
            f"Expected blocks smaller than the grid {tuple(grid)}, received a spatial_scale of "
            f"{spatial_scale}; lower it."
        )
    room = [grid[axis] - size[axis] + 1 for axis in (1, 2, 0)]
    corners = np.empty((batch, blocks, 3), int)
    for row in range(batch):
        corners[row] = rng.integers(0, room, (blocks, 3))
        while _covered(grid, size, corners[row]).all():
            corners[row] = rng.integers(0, room, (blocks, 3))
    return block_indices(grid, size, corners)


def _covered(grid, size, corners):
    """bool array of the grid: what blocks cover."""
    covered = np.zeros(grid, bool)
    for top, left, start in corners:
        box = [slice(first, first + length) for first, length in zip((start, top, left), size)]
        covered[tuple(box)] = True
    return covered
