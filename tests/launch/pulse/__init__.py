"""Messages of a subscription → how often each came in a minute, to a topic.

A stream as somebody else would write it, in versions that a running one can or can't be updated to.
"""

import dataclasses
from typing import Literal

from beam_pipelines.options import option

MODES = ("exactly_once",)


@dataclasses.dataclass(frozen=True)
class PulseOptions:
    subscription: str = option("Subscription to read.", param_type="PUBSUB_SUBSCRIPTION")
    topic: str = option("Topic to write.", param_type="PUBSUB_TOPIC")
    step: str = option("What the first step is called.", default="Parse")
    key: Literal["text", "number"] = option("What is counted: messages or their lengths.", default="text")
    logged: bool = option("Whether there is one more step.", default=False)


OPTIONS = PulseOptions
