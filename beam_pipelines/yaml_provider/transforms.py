"""The factories that `provider.yaml` names: `transforms.MaskBatches(contract="orders.yaml")`, and so for each."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import apache_beam as beam

from beam_pipelines.yaml_provider.stage import SOURCES, YamlStage, transforms, yaml_parameters


def __getattr__(name: str) -> Callable[..., beam.PTransform]:
    transform = transforms().get(name)
    if transform is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def make(**config: Any) -> beam.PTransform:
        return YamlStage(name, transform, config)

    make.__name__ = make.__qualname__ = name
    make.__doc__ = _docs(transform)
    # From what follows Beam makes the schema of a transform's configuration.
    make.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=each.default, annotation=each.kind)
            for key, each in yaml_parameters(transform).items()
        ]
    )
    make._yaml_requires_inputs = not name.startswith(SOURCES)  # type: ignore[attr-defined]  # Beam's own name
    return make


def _docs(transform: type[beam.PTransform]) -> str:
    """A transform's docstring with its parameters as Google's style has them, which Beam reads."""
    text = inspect.getdoc(transform) or ""
    arguments = [f"    {key}: {each.shown}" for key, each in yaml_parameters(transform).items()]
    return "\n".join([text.partition("\n>>>")[0].strip(), "", "Args:", *arguments])
