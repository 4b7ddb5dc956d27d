"""MQTT 5: where a broker is and how to connect, for the source and the sink."""
