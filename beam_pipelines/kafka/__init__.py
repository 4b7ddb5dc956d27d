"""What talking to Kafka is, for the source and the sink: where brokers are, who we are there, what errors mean."""

from beam_pipelines.errors import UsageError

try:
    import confluent_kafka as confluent_kafka
except ImportError as error:
    raise UsageError("Kafka needs its client: pip install 'beam_pipelines[kafka]'") from error
