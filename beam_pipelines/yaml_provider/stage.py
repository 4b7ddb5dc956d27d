"""A public transform as Beam YAML makes and applies it."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Mapping
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.typehints.arrow_type_compatibility import arrow_schema_from_beam_schema
from apache_beam.typehints.schemas import schema_from_element_type

import beam_pipelines
from beam_pipelines import dead_letters
from beam_pipelines.contract.model import Contract
from beam_pipelines.errors import UsageError, did_you_mean
from beam_pipelines.mask.methods import masked_schema
from beam_pipelines.score import shadow
from beam_pipelines.yaml_provider.arguments import Parameter, parameters_of
from beam_pipelines.yaml_provider.known import Known, known_of, remember
from beam_pipelines.yaml_provider.plain_rows import plain_batch, plain_schema
from beam_pipelines.yaml_provider.run import finalize, identity_of, run_id_of

RENAMED = {
    "ReadFromKafka": "ReadBatchesFromKafka",
    "ReadFromKinesis": "ReadBatchesFromKinesis",
    "ReadFromPubSub": "ReadBatchesFromPubSub",
    "WriteToKafka": "WriteBatchesToKafka",
    "WriteToKinesis": "WriteBatchesToKinesis",
    "WriteToPubSub": "WriteBatchesToPubSub",
}
"""Transforms whose names Beam YAML has for its own."""

RECORD_SINKS = ("WriteToAmqp", "WriteToKafka", "WriteToKinesis", "WriteToMqtt", "WriteToPubSub", "WriteToRedis")
"""Sinks of records, which write raw batches too."""

INPUTS = {"JoinTable": ("rows", "table"), "JoinBatches": ("left", "right")}
"""Transforms of several inputs; the first is the one whose rows go on."""

SOURCES = ("Read", "Replay", "Watch")
"""How the names of transforms without input begin."""

SIDES = {"table_of": "table", "right_of": "right"}
"""Parameters that say what is in another input, which is known of it."""

_GOOD = "good"


def transforms() -> dict[str, type[beam.PTransform]]:
    """The public transforms by their names in YAML."""
    found = {}
    for name, module in beam_pipelines.PUBLIC.items():
        public = getattr(importlib.import_module(f"beam_pipelines.{module}"), name)
        if isinstance(public, type) and issubclass(public, beam.PTransform):
            found[RENAMED.get(name, name)] = public
    return found


def yaml_parameters(transform: type[beam.PTransform]) -> dict[str, Parameter]:
    """What may be said in YAML of a transform, by name."""
    found: dict[str, Parameter] = {}
    for name, parameter in parameters_of(transform).items():
        if parameter.role == "contract":
            if name not in SIDES:
                found["contract"] = parameter
        elif parameter.role == "run":
            found |= {each: _run_parameter(each) for each in ("run_id", "pipeline")}
        elif parameter.role == "value":
            found[name] = _run_parameter(name) if name == "run_id" else parameter
    return found


def _run_parameter(name: str) -> Parameter:
    default = "beam_yaml" if name == "pipeline" else None
    return Parameter(name, "value", str, "text", lambda _, value: str(value), False, default)


def known_on_input(parameter: Parameter, transform: type[beam.PTransform]) -> bool:
    """Whether a parameter needn't be said, since the input tells it: contract and event time of what was decoded."""
    told = parameter.role == "contract" or parameter.name == "event_time"
    return told and transform.__name__ not in ("DecodeBatches", "ReplayFiles", "ValidateRows")


class YamlStage(beam.PTransform):
    """One of `transforms`, made of plain configuration, and applied to what YAML gives it.

    UsageError, before anything runs, for what the configuration doesn't have, lacks or gets wrong, and for inputs
    that the transform doesn't take.
    """

    def __init__(self, name: str, transform: type[beam.PTransform], config: Mapping[str, Any]) -> None:
        super().__init__()
        self._name = name
        self._transform = transform
        said = dict(config)
        self._letters = _letters_name(name, said.pop("error_handling", None))
        allowed = yaml_parameters(transform)
        for key in said:
            if key not in allowed:
                near = did_you_mean(key, [*allowed, "error_handling"])
                raise UsageError(f"{name} has no option '{key}'.{near}")
        missing = [
            key
            for key, each in allowed.items()
            if each.required and key not in said and not known_on_input(each, transform)
        ]
        if missing:
            what = allowed[missing[0]].shown
            raise UsageError(f"{name} needs '{missing[0]}' ({what})")
        self._given = {
            key: allowed[key].read(key, value)
            for key, value in said.items()
            if value is not None or allowed[key].default is not None or allowed[key].required
        }

    def default_label(self) -> str:
        return self._name

    def expand(self, inputs: Any) -> Any:
        if self._transform.__name__ == "FinalizeRun":
            return finalize(inputs, dict(self._given))
        main, others = self._told_apart(inputs)
        known = self._checked(main)
        inner = self._made(main, known, others)
        source: Any = (main, *others.values()) if self._transform.__name__ == "JoinBatches" else main
        if self._transform.__name__ == "BatchesToRows":
            assert known.schema is not None
            source = main | "Plain" >> beam.Map(plain_batch, known.schema).with_output_types(pa.RecordBatch)
        return self._named(source | "Batches" >> inner, inner, main, known)

    def _told_apart(self, inputs: Any) -> tuple[Any, dict[str, beam.PCollection[Any]]]:
        names = INPUTS.get(self._transform.__name__)
        if names is None:
            if isinstance(inputs, Mapping):
                raise UsageError(f"{self._name} takes one input, not {', '.join(inputs)}")
            return inputs, {}
        if not isinstance(inputs, Mapping) or set(inputs) != set(names):
            raise UsageError(
                f"{self._name} takes two inputs: write `input: {{{names[0]}: STEP, {names[1]}: STEP}}`"
                + (f", not {', '.join(inputs)}" if isinstance(inputs, Mapping) else "")
            )
        return inputs[names[0]], {name: inputs[name] for name in names[1:]}

    def _checked(self, main: Any) -> Known:
        """What is known of the input, if the transform can take it."""
        takes = self._transform.__name__
        if isinstance(main, beam.pvalue.PBegin):
            return Known("raw")
        known = known_of(main)
        if takes in ("RowsToBatches", "ValidateRows"):
            return known or Known("rows")
        if known is None or known.holds not in ("raw", "batches"):
            raise UsageError(f"{self._name} takes batches, not {_told(known)}: put RowsToBatches before it")
        if (known.holds == "raw") != (takes == "DecodeBatches") and takes not in RECORD_SINKS:
            wants = "raw batches, as ReadFiles yields them" if known.holds == "batches" else "decoded batches"
            hint = "" if known.holds == "batches" else ": put DecodeBatches before it"
            raise UsageError(f"{self._name} takes {wants}{hint}")
        return known

    def _made(self, main: Any, known: Known, others: Mapping[str, beam.PCollection[Any]]) -> beam.PTransform:
        arguments: dict[str, Any] = {}
        accepts = parameters_of(self._transform)
        for name, parameter in accepts.items():
            if parameter.role == "contract":
                if name in SIDES:
                    arguments[name] = self._of(others[SIDES[name]], SIDES[name])
                elif "contract" in self._given or parameter.required or known.of is not None:
                    arguments[name] = self._described(name, main, known)
            elif parameter.role == "run":
                run_id = self._given.get("run_id") or run_id_of(main.pipeline)
                arguments[name] = identity_of(run_id, self._given.get("pipeline"))
            elif name in self._given:
                arguments[name] = self._given[name]
            elif parameter.role == "side" and name in others:
                arguments[name] = others[name]
        if "run_id" in accepts:
            arguments.setdefault("run_id", run_id_of(main.pipeline))
        if "event_time" in accepts and known.event_time is not None:
            arguments.setdefault("event_time", known.event_time)
        elif "event_time" in accepts and accepts["event_time"].required and "event_time" not in arguments:
            raise UsageError(f"{self._name} needs 'event_time': its input has no column that is known to be it")
        if "partition_by" in accepts and known.contract is not None and self._given.get("folder") == "rows":
            arguments.setdefault("partition_by", known.contract.partition_by)
        if "as_" in accepts:
            arguments["as_"] = "row"
        return self._transform(**arguments)

    def _of(self, collection: beam.PCollection[Any], name: str) -> Contract | pa.Schema:
        known = known_of(collection)
        if known is None or known.holds != "batches" or known.of is None:
            raise UsageError(f"{self._name}: the input '{name}' is {_told(known)}; it has to be decoded batches")
        return known.of

    def _described(self, name: str, main: Any, known: Known) -> Any:
        """The contract or schema of the rows: named in the file, else known of the input."""
        of = self._given.get("contract", known.of)
        if of is None and self._transform.__name__ == "RowsToBatches":
            return _schema_of_rows(main)
        if of is None:
            raise UsageError(f"{self._name}: what is in its input isn't known here: say `contract: FILE`")
        if self._transform.__name__ == "BatchesToRows":
            return plain_schema(of.schema if isinstance(of, Contract) else of)
        if name == "schema":
            return of.schema if isinstance(of, Contract) else of
        if name == "contract" and not isinstance(of, Contract) and self._transform.__name__ != "RowsToBatches":
            raise UsageError(f"{self._name}: its input has columns, but no contract: say `contract: FILE`")
        return of

    def _named(self, result: Any, inner: beam.PTransform, main: Any, known: Known) -> Any:
        """What comes out, by the names that YAML has for it; remembered is what each holds."""
        outputs = result._asdict() if hasattr(result, "_asdict") else {_GOOD: result}
        ledger = outputs.pop("ledger", None)
        letters = outputs.pop("dead_letters", None)
        if not outputs:
            outputs = {"ledger": ledger}
        if "panes" in outputs and main_bounded(main):
            outputs.pop("late", None)
        if "disagreement" in outputs and "shadow" not in self._given:
            del outputs["disagreement"]
        first = next(iter(outputs))
        came_from = () if isinstance(main, beam.pvalue.PBegin) else (main,)
        after = self._after(inner, known)
        for name, output in outputs.items():
            of = after
            if name != first:
                of = known if name == "late" else Known("batches", shadow.SCHEMA)
            remember(output, self._with_origin(of, ledger, came_from))
        if letters is None and self._letters is not None:
            raise UsageError(f"{self._name} refuses no rows: leave error_handling out")
        if letters is not None and self._letters is None:
            _ = letters | "FailOnDeadLetters" >> beam.ParDo(_Fail(self._name))
        elif letters is not None and self._letters is not None:
            if self._letters in outputs:
                raise UsageError(f"error_handling: '{self._letters}' is an output of {self._name} already")
            remember(letters, self._with_origin(Known("batches", dead_letters.SCHEMA), ledger, came_from))
            outputs = {(_GOOD if name == first else name): output for name, output in outputs.items()}
            outputs[self._letters] = letters
        return outputs if len(outputs) > 1 else next(iter(outputs.values()))

    def _with_origin(self, known: Known, ledger: Any, came_from: tuple[Any, ...]) -> Known:
        patterns = self._given.get("patterns", self._given.get("files", ()))
        return dataclasses.replace(
            known,
            ledger=ledger,
            came_from=came_from,
            patterns=(patterns,) if isinstance(patterns, str) else tuple(patterns),
        )

    def _after(self, inner: beam.PTransform, known: Known) -> Known:
        """What the main output holds."""
        name = self._transform.__name__
        contract = self._given.get("contract") or known.contract
        if name.startswith(SOURCES):
            return Known("raw", contract=contract)
        if name in ("WriteToLake", "WriteDeadLetters"):
            return Known("files", contract=contract, run_id=self._given.get("run_id"))
        if name in RECORD_SINKS:
            return Known("ledger")
        if name == "WriteToTable":
            return Known("manifest")
        if name == "CheckQuality":
            return Known("results")
        of: Contract | pa.Schema | None = self._given.get("contract") or known.of
        if name == "MaskBatches" and isinstance(of, Contract):
            of = masked_schema(of)
        elif name == "RowsToBatches" and of is None:
            of = inner._contract.schema
        elif hasattr(inner, "output_schema"):
            return Known("batches", inner.output_schema, contract)
        else:
            of = getattr(inner, "contract", of)
        return Known(
            "rows" if name in ("BatchesToRows", "ValidateRows") else "batches",
            of,
            contract,
            _event_time(of, known.event_time),
        )


def main_bounded(main: Any) -> bool:
    """Whether an input ends; PBegin may or may not."""
    return isinstance(main, beam.PCollection) and main.is_bounded


def _event_time(of: Contract | pa.Schema | None, before: str | None) -> str | None:
    if isinstance(of, Contract):
        return None if of.event_time is None else of.event_time.name
    return before if of is not None and before in of.names else None


def _letters_name(name: str, handling: Any) -> str | None:
    if handling is None:
        return None
    if not isinstance(handling, Mapping) or set(handling) != {"output"} or not isinstance(handling["output"], str):
        raise UsageError(f"{name}: error_handling takes `output: NAME`, the name of the output of dead letters")
    if handling["output"] == _GOOD:
        raise UsageError(f"{name}: error_handling: 'good' is the name of the other output")
    return handling["output"]


def _schema_of_rows(rows: beam.PCollection[Any]) -> pa.Schema:
    try:
        return arrow_schema_from_beam_schema(schema_from_element_type(rows.element_type))
    except (TypeError, ValueError, KeyError, NotImplementedError):
        raise UsageError(
            "RowsToBatches: the types of the rows aren't known, or Arrow has none like them: say `contract: FILE`"
        ) from None


def _told(known: Known | None) -> str:
    if known is None:
        return "rows"
    return {"files": "written files", "ledger": "a ledger", "results": "results", "manifest": "a manifest"}.get(
        known.holds, known.holds
    )


class _Fail(beam.DoFn):
    """Fails the job for the first refused row, as Beam YAML does where errors aren't handled."""

    def __init__(self, stage: str) -> None:
        self._stage = stage

    def process(self, letters: pa.RecordBatch) -> None:
        row = letters.slice(0, 1).select(["rule", "field", "message"]).to_pylist()[0]
        where = f"{row['field']}: " if row["field"] else ""
        raise ValueError(
            f"{self._stage} refused {letters.num_rows} rows, the first by rule {row['rule']}: {where}{row['message']}. "
            "Say `error_handling: {output: NAME}` and write that output to keep them"
        )
