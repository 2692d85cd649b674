# SPDX-License-Identifier: Apache-2.0
"""docs/reliability.md, fault 25: TLS, SASL and ACLs that do not fit. At the start they end the
worker with 77 or 78 and a line that names what it was refused; while it runs they make it wait and
try again. Passwords are in no output."""

import re
import subprocess
import time

from harness import avro
from harness.case import limit, short
from harness.commands import command
from harness.paths import environment
from harness.process import wait_until
from harness.secure import (
    AUTHORIZER,
    Authority,
    Grants,
    add_scram_user,
    login,
    sasl_listener,
    tls_listener,
)
from harness.topics import EVENTS
from harness.worker import program

DENIED, CONFIG = 77, 78
PASSWORD = "planted-Pa55word"
SECRETS = [PASSWORD, "wrong-Pa55word", "planted-Redis-Pa55", "planted-t0ken"]


def errors(worker):
    """Its lines of level error, without the time."""
    return [
        line.split("error ", 1)[1] for line in worker.stderr().splitlines() if "Z error " in line
    ]


def ends(t, code, *parts, config=None, instance="refused"):
    """A worker that does not start: its exit code, and what its one error says, beside those that
    librdkafka logs."""
    worker = t.worker(instance, config=config, ready=False)
    got = worker.wait(40)
    said = [line for line in errors(worker) if not line.startswith("kafka: ")]
    print(f"exit {got}: {said}")
    assert got == code, (got, said, worker.stderr()[-2000:])
    assert len(set(said)) == 1, said  # one that hands its calls over first says it twice
    for part in parts:
        assert part in said[0], (part, said)
    return said[0]


# --- TLS ---


@limit(150)
@short
def test_tls(t):
    """A server that cannot be trusted is not talked to, and never without TLS."""
    ours, other = Authority(t.dir / "ca", "ours"), Authority(t.dir / "ca", "other")
    here = "IP:127.0.0.1,DNS:localhost"
    stores = {
        "GOOD": ours.server("good", here),
        "EXPIRED": ours.server("expired", here, days=-1),
        "ELSEWHERE": ours.server("elsewhere", "DNS:kafka.example"),
    }
    settings = {}
    for name, store in stores.items():
        settings.update(tls_listener(name, store))
    broker = t.own_broker(listeners={name: "SSL" for name in stores}, **settings)
    t.install(t.fixture())

    def config(name, authority=ours):
        return {
            "kafka.bootstrap.servers": broker.address(name),
            "kafka.security.protocol": "SSL",
            "kafka.ssl.ca.location": str(authority.certificate),
        }

    address = broker.address("EXPIRED")
    ends(t, CONFIG, address, "certificate has expired", config=config("EXPIRED"), instance="expired")
    address = broker.address("ELSEWHERE")
    ends(t, CONFIG, address, "IP address mismatch", config=config("ELSEWHERE"), instance="elsewhere")
    address = broker.address("GOOD")
    ends(t, CONFIG, address, "kafka.ssl.ca.location", config=config("GOOD", other),
         instance="other-ca")
    missing = {**config("GOOD"), "kafka.ssl.ca.location": str(t.dir / "no-such.pem")}
    worker = t.worker("no-file", config=missing, ready=False)
    assert worker.wait(30) == CONFIG, worker.stderr()
    said = f"kafka.ssl.ca.location: cannot read '{t.dir / 'no-such.pem'}'"
    assert said in worker.stderr(), worker.stderr()
    # Plain text to a TLS port, TLS to a plain one: said, not hung up on in silence.
    plain = {"kafka.bootstrap.servers": broker.address("GOOD")}
    worker = t.worker("plain", config=plain, ready=False)
    wait_until(lambda: "security.protocol" in worker.ready_text(), 30, worker.ready_text)
    assert "; waiting for it" in worker.stderr()
    assert worker.terminate() == 0
    worker = t.worker("good", config=config("GOOD"))
    [event] = t.topics.wait(t.topics.publish(command("Probe")))
    assert event.status == "SUCCEEDED"
    t.verify()


# --- SASL ---


def with_users(t, **users):
    settings = {**sasl_listener("SASL", users), **AUTHORIZER}
    return t.own_broker(listeners={"SASL": "SASL_PLAINTEXT"}, **settings)


def librdkafka():
    done = subprocess.run([program(), "--version"], capture_output=True, text=True,
                          env=environment(), check=True)
    return tuple(map(int, re.search(r"librdkafka (\d+)\.(\d+)\.(\d+)", done.stdout).groups()))


@limit(150)
@short
def test_sasl(t):
    broker = with_users(t, worker=PASSWORD)
    address = broker.address("SASL")
    base = {"kafka.bootstrap.servers": address}
    t.install(t.fixture())
    grants = Grants(t, "worker")
    grants.grant()
    ends(t, DENIED, address, "kafka.sasl.username", "kafka.sasl.password",
         config={**base, **login("worker", "wrong-Pa55word")}, instance="wrong-password")
    ends(t, DENIED, address, config={**base, **login("nobody", PASSWORD)}, instance="wrong-user")
    ends(t, DENIED, address, "Unsupported SASL mechanism", "PLAIN,SCRAM-SHA-256",
         config={**base, **login("worker", PASSWORD, "SCRAM-SHA-512")}, instance="mechanism")
    add_scram_user(t.topics.admin, "worker", PASSWORD)
    scram = {**base, **login("worker", PASSWORD, "SCRAM-SHA-256")}
    if librdkafka() < (2, 6, 1):
        ends(t, DENIED, address, "bug #4895", "PLAIN", "2.6.1", config=scram, instance="scram")
    else:
        t.worker("scram", config=scram)
        [event] = t.topics.wait(t.topics.publish(command("Probe")))
        assert event.status == "SUCCEEDED"
        assert t.workers[-1].terminate() == 0
    t.worker("good", config={**base, **login("worker", PASSWORD)})
    [event] = t.topics.wait(t.topics.publish(command("Probe")))
    assert event.status == "SUCCEEDED"
    t.verify()
    for worker in t.workers:
        assert not any(secret in worker.stderr() for secret in SECRETS), worker.name


# --- ACLs ---


@limit(240)
def test_acls_at_the_start(t):
    """Each row of README's table is needed, and its lack is named."""
    broker = with_users(t, worker=PASSWORD)
    t.install(t.fixture())
    grants = Grants(t, "worker")
    grants.grant()
    prefix = t.topics.prefix
    config = {
        "kafka.bootstrap.servers": broker.address("SASL"), **login("worker", PASSWORD),
    }
    rows = [
        ("commands", None, f"topic '{prefix}commands'", "ACL Read"),
        ("probe-results", None, f"topic '{prefix}probe-results'", "ACL Write"),
        ("dead-letters", None, f"topic '{prefix}dead-letters'", "ACL Write"),
        ("group", None, f"group '{prefix}group'", "ACL Read"),
        ("transactional id", None, f"transactional id '{prefix}group.", "ACL Write and Describe"),
        ("commands", "READ", f"topic '{prefix}commands'", "ACL Read"),
    ]
    for n, (name, only, *parts) in enumerate(rows):
        grants.revoke(name, only=only)
        ends(t, DENIED, *parts, config=config, instance=f"refused-{n}")
        grants.grant(name, only=only)
    t.worker("good", config=config)
    [event] = t.topics.wait(t.topics.publish(command("Probe")))
    assert event.status == "SUCCEEDED"
    t.verify()


@limit(120)
def test_config_check_names_missing_rights(t):
    """Each row of README's table that lacks is a finding, all in one run, and nothing is written."""
    broker = with_users(t, worker=PASSWORD)
    t.install(t.fixture())
    grants = Grants(t, "worker")
    prefix = t.topics.prefix
    config = {"kafka.bootstrap.servers": broker.address("SASL"), **login("worker", PASSWORD)}
    (t.dir / "cli.conf").touch(0o600)

    def check():
        return t.cli("config", "check", config=config, timeout=60)

    grants.grant()
    before = t.topics.ends(list(EVENTS))
    done = check()
    assert done.returncode == 0, done.stderr
    assert t.topics.ends(list(EVENTS)) == before
    grants.revoke("group", "transactional id")
    grants.revoke("probe-results", "dead-letters", only="WRITE")
    done = check()
    assert done.returncode == 1, done.stderr
    for part in (
        f"not permitted to use group '{prefix}group'; allow Read",
        f"not permitted to use transactional id '{prefix}group.",
        f"not permitted to write to topic '{prefix}probe-results'; allow Write",
        f"not permitted to write to topic '{prefix}dead-letters'; allow Write",
    ):
        assert part in done.stderr, (part, done.stderr)
    assert done.stderr.count("not permitted") == 4, done.stderr
    grants.grant()
    grants.revoke("commands", only="READ")
    assert f"not permitted to read topic '{prefix}commands'; allow Read" in check().stderr
    grants.revoke("commands")
    grants.revoke("lease-results")
    done = check()
    assert done.returncode == 1
    assert f"'{prefix}commands'" in done.stderr and f"'{prefix}lease-results'" in done.stderr
    assert t.topics.ends(list(EVENTS)) == before


@limit(240)
def test_acls_lost_while_it_runs(t):
    """Nothing ends: what cannot be published is aborted and waits, /readyz says why, other topics
    go on where they can; when the permission is back, so is the worker."""
    broker = with_users(t, worker=PASSWORD)
    t.install(t.fixture())
    grants = Grants(t, "worker")
    grants.grant()
    prefix = t.topics.prefix
    config = {
        "kafka.bootstrap.servers": broker.address("SASL"), **login("worker", PASSWORD),
    }
    worker = t.worker(config=config)
    t.topics.wait(t.topics.publish(command("Probe"), command("AcquireLease")))
    time.sleep(6)  # what is refused up to 5 s after the first assignment is so at the start
    rows = [
        ("lease-results", "WRITE", f"topic '{prefix}lease-results'", "ACL Write", True),
        ("group", None, f"group '{prefix}group'", "ACL Read", False),
        ("commands", "READ", f"topic '{prefix}commands'", "ACL Read", False),
        ("transactional id", None, f"transactional id '{prefix}group.w1'", "ACL Write", False),
    ]
    for name, only, what, acl, others_go_on in rows:
        grants.revoke(name, only=only)
        time.sleep(1)  # the broker's own cache
        records = t.topics.publish(
            *(command("AcquireLease", orderingKey="") for _ in range(3)),
        )
        wait_until(
            lambda: what in worker.ready_text() and acl in worker.ready_text(), 40,
            lambda: f"{name}: /readyz names it; it says {worker.ready_text()}",
        )
        print(f"{name}: {worker.ready_text()}")
        assert worker.ready_status() == 503
        if others_go_on:
            [event] = t.topics.wait(t.topics.publish(command("Probe", orderingKey="")))
            assert event.status == "SUCCEEDED"
        grants.grant(name, only=only)
        for event in t.topics.wait(records, timeout=60):
            assert event.status == "SUCCEEDED", (name, event.plain)
        worker.wait_ready(30)
    # Without a command that would show it: no record comes.
    denied = f"not permitted to read topic '{prefix}commands'"
    grants.revoke("commands", only="READ")
    wait_until(lambda: denied in worker.ready_text(), 40, worker.ready_text)
    time.sleep(8)
    assert denied in worker.ready_text(), worker.ready_text()
    grants.grant("commands", only="READ")
    worker.wait_ready(30)
    assert worker.running
    t.verify()


# --- secrets ---


def add_redis_user(client):
    client.acl_setuser(
        "envdriver", enabled=True, passwords=["+planted-Redis-Pa55"], keys=["*"], channels=["*"],
        commands=["+@all"],
    )


@limit(150)
@short
def test_secrets_are_in_no_output(t):
    """Passwords of Kafka and Redis and the HTTP token, planted, and then looked for wherever
    something comes out: logs at debug, events, dead letters, pages, Redis, the command line."""
    broker = with_users(t, worker=PASSWORD)
    server = t._once("redis", lambda: t._start_redis(tcp=True))
    add_redis_user(server.client)
    token = t.dir / "token"
    token.write_text("planted-t0ken\n", "ascii")
    t.install(t.fixture())
    Grants(t, "worker").grant()
    config = {
        "kafka.bootstrap.servers": broker.address("SASL"), **login("worker", PASSWORD),
        "redis.url": f"redis://envdriver:planted-Redis-Pa55@127.0.0.1:{server.port}/0",
        "http.token.file": str(token),
        "kafka.debug": "security,broker,protocol,conf",
    }
    worker = t.worker(config=config)
    t.topics.wait(
        t.topics.publish(
            command("Probe"),
            command("Execute", {"command": "env"}),
            command("Probe", config={"test": {"crash": 3, "stderr": "last words"}}),
        )
        + [t.topics.publish_raw(b"no command")]
    )
    server.restart()
    add_redis_user(server.client)  # its users are not among what it keeps
    t.topics.wait(t.topics.publish(command("Probe")), timeout=60)
    bearer = {"Authorization": "Bearer planted-t0ken"}
    out = [worker.get(p, headers=bearer).body
           for p in ("/", "/status", "/metrics", "/readyz", "/healthz")]
    assert len(out[1]) > 100, out[1]
    out += [worker.get("/status", headers={"Authorization": "Bearer nope"}).body]
    for arguments in (["config", "print"], ["config", "check"], ["topics", "list"], ["drivers"],
                      ["plugin", "list"], ["watch", "--from", "beginning", "--json", "--help"]):
        done = t.cli(*arguments, config=config)
        out += [done.stdout, done.stderr]
    wrong = {**config, **login("worker", "wrong-Pa55word")}
    refused = t.worker("refused", config=wrong, ready=False)
    assert refused.wait(40) == DENIED
    no_redis = {**config, "redis.url": config["redis.url"].replace("-Pa55@", "-Pa55x@")}
    stranger = t.worker("stranger", config=no_redis, ready=False)
    wait_until(lambda: "WRONGPASS" in stranger.stderr(), 20, "Redis refuses it")
    out.append(stranger.get("/readyz", headers=bearer).body)
    assert stranger.terminate() == 0
    events = t.verify()
    out += [repr(e.value) + repr(e.headers) for e in events] + [repr(e.plain) for e in events]
    out += [repr(avro.without_nulls(e.value)) for e in events]
    client = server.client
    for key in client.keys("*"):
        kind = client.type(key)
        out.append(f"{key} " + repr(
            client.hgetall(key) if kind == "hash" else client.get(key) if kind == "string"
            else client.zrange(key, 0, -1)))
    out += [w.stderr() for w in t.workers]
    assert sum(map(len, out)) > 50_000
    for secret in SECRETS:
        for text in out:
            at = text.find(secret)
            assert at < 0, f"{secret!r}: …{text[max(0, at - 200) : at + 60]}"
