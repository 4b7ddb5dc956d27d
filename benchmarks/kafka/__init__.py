"""Kafka → decode → validate → 10 s windows → Kafka: messages for each CPU second, and how long a window's result takes.

A side is a module that is run as `python -m MODULE BROKER SOURCE TARGET MESSAGES`: it reads the topic SOURCE, which
holds so many messages, to its end, and writes a message `{"window_start": …, "page": …, "n": …, "cents": …}` for each
page and window to the topic TARGET.
"""
