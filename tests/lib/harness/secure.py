# SPDX-License-Identifier: Apache-2.0
"""Certificates of a CA made for the test, users, and what they are permitted to do."""

import subprocess

from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from .process import wait_until

MODULE = "org.apache.kafka.common.security"
AUTHORIZER = {
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    # Whoever comes by the plain listener: the brokers themselves and the harness.
    "super.users": "User:ANONYMOUS",
}


# --- certificates ---


class Authority:
    def __init__(self, folder, name):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.key, self.certificate = folder / f"{name}.key", folder / f"{name}.pem"
        self._openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30",
                      "-subj", f"/CN={name}", "-keyout", self.key, "-out", self.certificate)

    def server(self, name, alternative, days=30):
        """A file with the key and the certificate of a server, as Kafka's PEM key store."""
        key, request = self.folder / f"{name}.key", self.folder / f"{name}.csr"
        signed, store = self.folder / f"{name}.crt", self.folder / f"{name}.store.pem"
        extension = self.folder / f"{name}.ext"
        extension.write_text(f"subjectAltName={alternative}\n", "ascii")
        self._openssl("req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}",
                      "-keyout", key, "-out", request)
        self._openssl("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.key,
                      "-CAcreateserial", "-days", days, "-extfile", extension, "-out", signed)
        store.write_bytes(key.read_bytes() + signed.read_bytes())
        return store

    @staticmethod
    def _openssl(*arguments):
        done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"openssl {arguments[0]}: {done.stderr}")


def tls_listener(name, store):
    """Settings of a broker for a listener that shows this key store."""
    return {
        f"listener.name.{name.lower()}.ssl.keystore.type": "PEM",
        f"listener.name.{name.lower()}.ssl.keystore.location": str(store),
    }


# --- users ---


def sasl_listener(name, users):
    """Settings of a broker for a listener with PLAIN and SCRAM; `users`: {name: password}."""
    known = " ".join(f'user_{user}="{password}"' for user, password in users.items())
    where = f"listener.name.{name.lower()}"
    return {
        f"{where}.sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256",
        f"{where}.plain.sasl.jaas.config": f"{MODULE}.plain.PlainLoginModule required {known};",
        f"{where}.scram-sha-256.sasl.jaas.config": f"{MODULE}.scram.ScramLoginModule required;",
    }


def add_scram_user(admin, user, password):
    info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_256, 4096)
    change = UserScramCredentialUpsertion(user, info, password.encode())
    for future in admin.alter_user_scram_credentials([change]).values():
        future.result(20)


def login(user, password, mechanism="PLAIN", protocol="SASL_PLAINTEXT"):
    """Settings of a worker."""
    return {
        "kafka.security.protocol": protocol,
        "kafka.sasl.mechanism": mechanism,
        "kafka.sasl.username": user,
        "kafka.sasl.password": password,
    }


# --- what they may do ---


class Grants:
    """What README says that a worker must be permitted to do, row by row."""

    def __init__(self, t, user):
        self.admin = t.topics.admin
        self.user = user
        prefix = t.topics.prefix
        group = f"{prefix}group"
        self.rows = {
            "commands": self._on("TOPIC", f"{prefix}commands", "READ DESCRIBE DESCRIBE_CONFIGS"),
            "group": self._on("GROUP", group, "READ"),
            "transactional id": self._on(
                "TRANSACTIONAL_ID", f"{group}.", "WRITE DESCRIBE", prefixed=True
            ),
        }
        for name in ("probe-results", "lease-results", "execution-results", "config-results",
                     "workspace-results", "setup-results", "driver-results", "execution-logs",
                     "plugin-events", "dead-letters"):
            self.rows[name] = self._on("TOPIC", f"{prefix}{name}", "WRITE DESCRIBE")

    def _on(self, kind, name, operations, prefixed=False):
        pattern = ResourcePatternType.PREFIXED if prefixed else ResourcePatternType.LITERAL
        return [
            (ResourceType[kind], name, pattern, f"User:{self.user}", "*", AclOperation[operation],
             AclPermissionType.ALLOW)
            for operation in operations.split()
        ]

    def grant(self, *names, only=None):
        """All of them when none is named; `only`: of their operations."""
        rows = [row for name in names or self.rows for row in self._chosen(name, only)]
        for future in self.admin.create_acls([AclBinding(*row) for row in rows]).values():
            future.result(20)
        self._wait(lambda known: known.issuperset(rows))

    def revoke(self, *names, only=None):
        rows = [row for name in names or self.rows for row in self._chosen(name, only)]
        for future in self.admin.delete_acls([AclBindingFilter(*row) for row in rows]).values():
            future.result(20)
        self._wait(lambda known: known.isdisjoint(rows))

    def _wait(self, holds):
        """The controller knows before the broker that asks it."""

        def seen():
            every = AclBindingFilter(
                ResourceType.ANY, None, ResourcePatternType.ANY, f"User:{self.user}", None,
                AclOperation.ANY, AclPermissionType.ANY,
            )
            found = self.admin.describe_acls(every, request_timeout=20).result(25)
            return holds({
                (a.restype, a.name, a.resource_pattern_type, a.principal, a.host, a.operation,
                 a.permission_type) for a in found
            })

        wait_until(seen, 20, "the broker has heard of the ACLs")

    def _chosen(self, name, only):
        return [r for r in self.rows[name] if only is None or r[5] == AclOperation[only]]
