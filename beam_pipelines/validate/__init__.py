"""The one place where rows are judged. The transform is in `validate.transform`."""

from beam_pipelines.validate.rules import Judged as Judged
from beam_pipelines.validate.rules import Note as Note
from beam_pipelines.validate.rules import judge as judge
