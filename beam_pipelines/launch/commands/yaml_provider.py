"""`yaml-provider`: what a Beam YAML file includes to use our transforms."""

from __future__ import annotations

from collections.abc import Sequence

from beam_pipelines.launch import arguments
from beam_pipelines.launch.exit_codes import ExitCode
from beam_pipelines.launch.help_texts import EPILOG, PROGRAM


def main(argv: Sequence[str]) -> int:
    """Print the provider, the path it is installed at, or what each transform takes."""
    parser = arguments.Parser(
        prog=f"{PROGRAM} yaml-provider",
        usage=f"{PROGRAM} yaml-provider [--path | --docs]",
        description="Print the list of providers by which Beam YAML finds our transforms: save it beside a pipeline, "
        "and include it\nthere (`providers: [{include: provider.yaml}]`). docs/beam-yaml.md tells more.",
        epilog=EPILOG,
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--path", action="store_true", help="print where the provider is installed instead")
    which.add_argument("--docs", action="store_true", help="print all transforms with their options, in Markdown")
    asked = parser.parse_args(argv)

    from beam_pipelines.yaml_provider import provider

    if asked.path:
        print(provider.PATH)
    else:
        print(provider.reference_text() if asked.docs else provider.provider_text(), end="")
    return ExitCode.OK
