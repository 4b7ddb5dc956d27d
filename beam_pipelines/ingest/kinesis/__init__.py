"""Kinesis as a source of raw batches: boto3 under the streams' unbounded source."""
