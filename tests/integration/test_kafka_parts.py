# SPDX-License-Identifier: Apache-2.0
"""A look at the cluster, and records sent by best effort, on a real broker."""

import time

from harness import avro
from harness.case import limit
from harness.parts import Parts


# --- cluster ---


def test_a_look_at_the_cluster(t):
    t.make_topics(commands=1)
    p = Parts(t)
    p("look 5000")
    facts = p.wait("facts")
    assert facts["reached"] and facts["exit"] == 0 and facts["missing"] == "", facts
    assert len(facts["cluster"]) == 22
    assert (facts["retention"], facts["compacted"]) == (14 * 24 * 3600 * 1000, 0)
    t.topics.delete("setup-results", "dead-letters")
    p("look 5000")
    missing = p.wait("facts")["missing"]
    assert missing == f"{t.topics.full('setup-results')}, {t.topics.full('dead-letters')}", missing


def test_a_look_at_nothing(t):
    t.make_topics(commands=1)
    p = Parts(t, kafka__bootstrap__servers="127.0.0.1:9")
    began = time.monotonic()
    p("look 2000")
    facts = p.wait("facts")
    assert time.monotonic() - began < 3
    assert not facts["reached"] and facts["exit"] == 0
    assert "127.0.0.1:9" in facts["text"]


# --- best effort ---


def test_a_plugin_event(t):
    t.make_topics(commands=1)
    p = Parts(t)
    p("plugin-event plugin-1")
    p("quit")
    p.process.wait(20)
    [event] = t.topics.read_all(("plugin-events",))
    assert (event.name, event.key, event.header("schema")) == ("PluginEvent", b"plugin-1", "PluginEvent")
    value = event.value
    assert value["type"] == "WORKER_CRASHED"
    assert (value["pluginId"], value["pluginKey"]) == ("plugin-1", "acme.plugin")
    assert (value["pid"], value["exitCode"], value["signal"]) == (42, None, "SIGSEGV")
    assert (value["willRestart"], value["consecutiveCrashes"], value["totalCrashes"]) == (True, 1, 2)
    assert value["details"] == "{}" and value["message"] is None
    assert avro.time_text(value["nextRestartAt"]) == "2026-11-23T05:17:57.000Z"


@limit(60)
def test_a_flood_neither_waits_nor_grows(t):
    """Without a broker 8 MiB are kept; the rest is dropped at once."""
    t.make_topics(commands=1)
    p = Parts(t, kafka__bootstrap__servers="127.0.0.1:9")
    p("flood 2000 100000")
    assert p.wait("flooded", 20)["took"] < 5000
    with open(f"/proc/{p.pid}/status", encoding="ascii") as status:
        [resident] = [line for line in status if line.startswith("VmRSS")]
    assert int(resident.split()[1]) < 300000, resident  # kB, under the sanitizer
