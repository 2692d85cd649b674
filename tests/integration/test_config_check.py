# SPDX-License-Identifier: Apache-2.0
"""`config check`: everything that work needs is asked for, and all findings come at once."""

import re

from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource
from harness.case import limit
from harness.commands import command
from harness.paths import ROOT
from harness.process import wait_until

FINDINGS, CONFIG = 1, 78
# As README has it, to the letter.
RULE = re.search(r"`(\+@read [^`]*)`", (ROOT / "README.md").read_text("utf-8")).group(1)


def check(t, *more, config=None):
    (t.dir / "cli.conf").touch(0o600)
    done = t.cli("config", "check", *more, config=config)
    return done.returncode, done.stderr


def add_user(client, *rules, keys="envdriver:*", channels=("envdriver:*", "__redis__:invalidate")):
    client.execute_command(
        "ACL", "SETUSER", "envdriver", "reset", "on", ">pass", f"~{keys}",
        *(f"&{channel}" for channel in channels), *rules,
    )


def alter(t, topic, name, value):
    entry = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ConfigResource.Type.TOPIC, t.topics.full(topic), incremental_configs=[entry])
    for done in t.topics.admin.incremental_alter_configs([resource]).values():
        done.result(20)


def redis_url(t):
    return t.redis.url.replace("unix://", "unix://envdriver:pass@")


def test_several_errors_in_one_run(t):
    path = t.dir / "envdriver.conf"
    path.write_text("redis.ulr = x\nmax.in.flight = 0\nlog.level = loud\nhttp.listen = 0.0.0.0:1\n", "ascii")
    done = t.cli("config", "check", "--offline", "-c", path, env={"ENVDRIVER_ASSIGNOR": "x"})
    assert done.returncode == CONFIG
    for text in (":1: unknown key", ":2: max.in.flight", ":3: log.level", "http.token.file",
                 "ENVDRIVER_ASSIGNOR: assignor"):
        assert text in done.stderr, (text, done.stderr)


def test_what_this_host_tells(t):
    """Modes, passwords in clear text and keys without effect, in one run; then all is mended."""
    folder, conf, token = t.dir / "plugins", t.dir / "envdriver.conf", t.dir / "token"
    folder.mkdir()
    token.write_text("secret\n", "ascii")
    conf.write_text(
        f"redis.url = redis://u:geheim@redis-1:6379/0\nplugin.dirs = {folder}:/nonexistent/p\n"
        "kafka.bootstrap.servers = localhost:1,kafka-2:9092\n"
        "kafka.security.protocol = SASL_PLAINTEXT\nkafka.sasl.mechanism = PLAIN\n"
        "kafka.sasl.username = u\nkafka.sasl.password = geheim\n"
        "schema.registry.url = http://u:geheim@registry:8081\notlp.endpoint = http://x:4318\n"
        f"http.token.file = {token}\n", "ascii")
    folder.chmod(0o777)
    token.chmod(0o644)
    conf.chmod(0o644)
    code, text = check(t, "--offline", "-c", conf)
    assert code == FINDINGS and "geheim" not in text, text
    for part in (
        f"{conf}:1: redis.url: the password goes to 'redis-1' in clear text",
        f"{conf}:2: plugin.dirs: '{folder}' can be written by others",
        f"{conf}:2: plugin.dirs: '/nonexistent/p' is not a folder",
        f"{conf}:4: kafka.security.protocol: SASL_PLAINTEXT sends the login to 'kafka-2'",
        f"{conf}:8: schema.registry.url: the password goes to 'registry' in clear text",
        f"{conf}:9: otlp.endpoint does nothing",
        f"{conf}:10: http.token.file does nothing without http.listen",
        f"{conf}:10: http.token.file: '{token}' is open to others",
        f"'{conf}' holds a secret and is open to others",
    ):
        assert part in text, (part, text)
    folder.chmod(0o755)
    token.chmod(0o600)
    conf.chmod(0o600)
    conf.write_text(
        f"redis.url = redis://u:geheim@127.0.0.1:6379/0\nplugin.dirs = {folder}\n"
        "kafka.bootstrap.servers = localhost:1,[::1]:2\nkafka.security.protocol = SASL_PLAINTEXT\n"
        "kafka.sasl.mechanism = PLAIN\nkafka.sasl.username = u\nkafka.sasl.password = geheim\n"
        f"http.listen = 127.0.0.1:0\nhttp.token.file = {token}\n"
        "schema.registry.url = http://u:geheim@localhost:8081\n", "ascii")
    code, text = check(t, "--offline", "-c", conf)
    assert code == 0, text


def test_servers_that_are_away(t):
    """All of them are named in one run."""
    code, text = check(t, config={
        "kafka.bootstrap.servers": "127.0.0.1:1", "redis.url": "unix:///nonexistent",
        "schema.registry.url": "http://127.0.0.1:1", "plugin.dirs": str(t.dir),
    })
    assert code == FINDINGS
    for part in ("on Kafka at 127.0.0.1:1", "Redis at unix:///nonexistent", "schema.registry.url: "):
        assert part in text, (part, text)


@limit(60)
def test_redis_acl_and_settings(t):
    """README's rule is enough for the check and for a worker that restarts; less is named."""
    t.topics
    client = t.redis.client
    add_user(client, *RULE.split())
    config = {"redis.url": redis_url(t)}
    assert check(t, config=config)[0] == 0, check(t, config=config)
    add_user(client, "+@read", "+@write", "+@connection", "+@pubsub", "+@scripting")
    code, text = check(t, config=config)
    assert code == FINDINGS and "persistence are not checked" in text, text
    assert "does not permit: INFO, MULTI, EXEC;" in text, text
    add_user(client, *RULE.split(), keys="other:*")
    assert "GET, SET, " in check(t, config=config)[1]
    add_user(client, *RULE.split(), channels=())
    assert "PUBLISH, SUBSCRIBE" in check(t, config=config)[1]
    add_user(client, *RULE.split())
    client.config_set("maxmemory-policy", "allkeys-lru")
    client.config_set("appendonly", "no")
    client.hset("envdriver:meta", "group", "another")
    code, text = check(t, config=config)
    for part in ("maxmemory-policy allkeys-lru", "appendonly yes", "serves group 'another'"):
        assert part in text, (part, text)
    assert code == FINDINGS


@limit(90)
def test_readmes_redis_rule_is_enough(t):
    """A worker with README's rule starts, works, and comes back when its connections are cut, for
    which it kills its old one; Redis refuses nothing meanwhile."""
    t.install(t.fixture())
    client = t.redis.client
    add_user(client, *RULE.split())
    client.execute_command("ACL", "LOG", "RESET")
    worker = t.worker(config={"redis.url": redis_url(t)})

    def work():
        operations = command("Probe"), command("Execute", {"command": "env"}), command("ListDrivers")
        for event in t.topics.wait(t.topics.publish(*operations)):
            assert event.status == "SUCCEEDED", event.plain

    work()
    for one in client.client_list():
        if one["user"] == "envdriver":
            client.client_kill_filter(_id=one["id"])
    worker.wait_ready(20)
    work()
    assert client.acl_log() == []
    assert worker.terminate() == 0
    assert client.acl_log() == []
    # And it is needed: without INFO it says so, and is not ready.
    add_user(client, *RULE.replace("+info", "").split())
    worker = t.worker("w2", config={"redis.url": redis_url(t)}, ready=False)
    wait_until(lambda: "NOPERM" in worker.ready_text(), 20, worker.ready_text)
    t.verify()


@limit(60)
def test_topics_and_their_settings(t):
    t.topics
    prefix = t.topics.prefix
    assert check(t)[0] == 0, check(t)
    alter(t, "probe-results", "cleanup.policy", "compact")
    alter(t, "dead-letters", "max.message.bytes", "1000000")
    before = t.topics.ends(["commands", "probe-results", "dead-letters"])
    code, text = check(t)
    assert code == FINDINGS
    assert f"topic '{prefix}probe-results': cleanup.policy is compact" in text, text
    assert f"topic '{prefix}dead-letters': max.message.bytes is 1000000" in text, text
    assert t.topics.ends(["commands", "probe-results", "dead-letters"]) == before
    code, text = check(t, config={"topic.prefix": "nowhere."})
    assert code == FINDINGS and text.count("`envdriver topics create`") == 11, text
