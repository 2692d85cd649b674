# SPDX-License-Identifier: Apache-2.0
"""The harness of the integration tests.

It is an independent implementation of what the project promises in its schemas and its
architecture document: it shares no code with envdriver and reads with other libraries, so that
both would have to be wrong in the same way to hide a mistake.

    avro.py       framing, fingerprints, the plain JSON form
    commands.py   an example of each of the seventeen operations
    topics.py     creates topics, publishes commands, reads what is committed
    oracle.py     exactly one final event for each command, in order: what a reader may rely on
    broker.py     a real Kafka             redis_server.py  a real Redis
    worker.py     an envdriver process     registry.py      plugins in Redis
    schema_registry.py   a schema registry: a real one, and one that does what it is told
    case.py       what a test function is given     runner.py   tests/run
"""
