"""The graph."""

import apache_beam as beam
from apache_beam.transforms.window import FixedWindows

from tests.launch.pulse import PulseOptions


def build(pipeline: beam.Pipeline, options: PulseOptions) -> None:
    messages = pipeline | "Read" >> beam.io.ReadFromPubSub(subscription=options.subscription)
    if options.key == "text":
        parsed = messages | options.step >> beam.Map(bytes.decode).with_output_types(str)
    else:
        parsed = messages | options.step >> beam.Map(len).with_output_types(int)
    if options.logged:
        parsed = parsed | "Log" >> beam.Map(lambda each: each).with_output_types(str)
    counted = parsed | beam.WindowInto(FixedWindows(60)) | "Count" >> beam.combiners.Count.PerElement()
    encoded = counted | "Encode" >> beam.Map(lambda pair: f"{pair[0]} {pair[1]}".encode()).with_output_types(bytes)
    _ = encoded | "Write" >> beam.io.WriteToPubSub(options.topic)
