"""AMQP 0-9-1, as RabbitMQ speaks it: where a broker is and how to connect, for the source and the sink."""
