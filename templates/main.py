"""What a flex template's launcher starts: builds the pipeline of this image, hands it over, and exits."""

import os
import sys

from beam_pipelines.launch.flex_template import main

if __name__ == "__main__":
    sys.exit(main(os.environ["BEAM_PIPELINES_TEMPLATE"], sys.argv[1:]))
