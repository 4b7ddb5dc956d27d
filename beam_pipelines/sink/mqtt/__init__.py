"""MQTT as a sink of batches: at least once (QoS 1), with an id in each message."""
