"""Topics of MQTT as a source of raw batches."""
