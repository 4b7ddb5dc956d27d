"""What talking to Kinesis is, for the source and the sink: where a stream is, and what errors mean."""
