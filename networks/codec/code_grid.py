"""The one order in which a grid of codes becomes the sequence that a prior models."""

from torch import Tensor


def flatten_codes(grid: Tensor) -> Tensor:
    """(…, rows, columns) → (…, columns · rows), time-major: every frequency of one time column, then the next column.

    A prefix of the sequence is a prefix of time, so that sounds can be continued and streamed.
    """
    return grid.transpose(-1, -2).flatten(-2)


def unflatten_codes(codes: Tensor, num_rows: int) -> Tensor:
    """(…, columns · rows) → (…, rows, columns), the inverse of `flatten_codes`.

    Raises:
        ValueError: if the sequence does not end with a whole column.
    """
    if codes.shape[-1] % num_rows:
        raise ValueError(f"{codes.shape[-1]} codes do not fill whole columns of {num_rows} rows.")
    return codes.unflatten(-1, (-1, num_rows)).transpose(-1, -2)
