"""What hiding values needs."""

from __future__ import annotations

import dataclasses

from beam_pipelines.options import option


@dataclasses.dataclass(frozen=True)
class MaskingOptions:
    """Where the pseudonym key is."""

    mask_key_file: str | None = option(
        "File that holds the pseudonym key as KEY_ID:HEX. Default: the environment's BEAM_PIPELINES_MASK_KEY.",
        default=None,
        group="mask",
        metavar="FILE",
        param_type="GCS_READ_FILE",
    )
