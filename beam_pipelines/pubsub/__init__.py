"""Google Pub/Sub: where it is and how to connect, for the source and the sink.

Over its gRPC interface itself: Google's own client for Python leases and publishes message by message, by threads of
its own; here that is done batch by batch.
"""
