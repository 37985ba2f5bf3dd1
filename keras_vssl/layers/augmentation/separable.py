"""Linear maps of rows and of columns, one pair for each clip."""

import math

from keras import ops


def apply_rows_columns(x, rows, columns):
    """Maps the rows and the columns of planes by matrices.

    Blur and resizing are such maps, with the treatment of the border in the matrix. A dense
    matrix of a frame's height costs less than a convolution whose kernel differs from clip to
    clip. On an accelerator that multiplies float32 in fewer digits (TF32, a TPU's bfloat16) the
    result is that precise: half a grey level at worst.

    Args:
        x: `[*lead, ..., H, W]`.
        rows: `[*lead, H', H]`.
        columns: `[*lead, W', W]`.

    Returns:
        `[*lead, ..., H', W']`.
    """
    shape = ops.shape(x)
    height, width = x.shape[-2:]
    new_height, new_width = rows.shape[-2], columns.shape[-2]
    planes = math.prod(x.shape[len(rows.shape) - 2 : -2])
    rows = ops.reshape(rows, (-1, 1, new_height, height))
    columns = ops.reshape(columns, (-1, new_width, width))
    y = ops.matmul(rows, ops.reshape(x, (-1, planes, height, width)))
    y = ops.reshape(y, (-1, planes * new_height, width))
    y = ops.matmul(y, ops.transpose(columns, (0, 2, 1)))
    return ops.reshape(y, (*shape[:-2], new_height, new_width))
