"""Write what is generated: templates/*/ and docs/reference/ from the pipelines' options, the list of SQL functions, and
the transforms of Beam YAML.

python -m scripts.generated            write
python -m scripts.generated --check    say what differs, and fail if anything does
"""

from __future__ import annotations

import sys
from pathlib import Path

from beam_pipelines import __version__
from beam_pipelines.columnar.expressions import catalogue
from beam_pipelines.pipelines import entries
from beam_pipelines.templates.build import template_files
from beam_pipelines.templates.reference import beam_yaml_providers, reference
from beam_pipelines.yaml_provider import provider

ROOT = Path(__file__).parents[1]
IMAGE = "europe-west1-docker.pkg.dev/my-project/templates/{name}:{version}"


def expected() -> dict[Path, str]:
    """Each generated file and what it must hold."""
    files: dict[Path, str] = {}
    for entry in entries():
        image = IMAGE.format(name=entry.name, version=__version__)
        made = template_files(entry, image, ROOT / "templates" / "Dockerfile")
        files |= {ROOT / "templates" / entry.name / name: content for name, content in made.items()}
        files |= {ROOT / "docs" / "reference" / name: content for name, content in reference(entry).items()}
    files[ROOT / "docs" / "reference" / "beam_yaml_providers.yaml"] = beam_yaml_providers(entries())
    files[provider.PATH] = provider.provider_text()
    yaml_page = ROOT / "docs" / "beam-yaml.md"
    before, heading, _ = yaml_page.read_text(encoding="utf-8").partition("## The transforms\n\n")
    files[yaml_page] = f"{before}{heading}{provider.reference_text()}"
    functions = ROOT / "docs" / "expressions.md"
    return files | {functions: catalogue.written_into(functions.read_text(encoding="utf-8"))}


def differing() -> list[Path]:
    """Generated files that are not what they must be."""
    return [
        path for path, content in expected().items() if not path.exists() or path.read_text(encoding="utf-8") != content
    ]


def main() -> int:
    if "--check" in sys.argv[1:]:
        wrong = differing()
        for path in wrong:
            print(f"{path.relative_to(ROOT)} is not what the options say: run `python -m scripts.generated`")
        return 1 if wrong else 0
    for path, content in expected().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
