"""Arrow arrays without `pa.array`, which imports pandas the first time: half a second that nothing here needs."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


def arrow_array(values: Sequence[Any] | NDArray[Any], kind: pa.DataType) -> pa.Array:
    """Turn values without nulls into an Arrow array.

    Args:
        values: `[N]` strings, bytes of one length, or numbers, as `kind` says.
        kind: string, binary of a fixed width, or a whole number type.

    Raises:
        ValueError: for bytes of another length.
        OverflowError: for a number that `kind` cannot hold, or more than 2 GiB of text.
    """
    if pa.types.is_string(kind):
        encoded = [str(value).encode() for value in values]
        offsets = np.array([0, *accumulate(map(len, encoded))], np.int32)
        return pa.StringArray.from_buffers(len(encoded), pa.py_buffer(offsets), pa.py_buffer(b"".join(encoded)))
    if pa.types.is_fixed_size_binary(kind):
        data: Any = b"".join(values)
        if any(len(value) != kind.byte_width for value in values):
            raise ValueError(f"not all of the values have {kind.byte_width} bytes")
    else:
        data = np.ascontiguousarray(values, np.dtype(str(kind)))
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(data)])
