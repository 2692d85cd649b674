# SPDX-License-Identifier: Apache-2.0
"""A current librdkafka in the place of the distribution's, for the programs under test only: the
shared object inside the wheel confluent-kafka. It finds what it needs by itself, and Python loads
it by another name, so nothing else of a test run changes."""

import os
import re
import subprocess
from pathlib import Path

from .paths import environment
from .worker import program


class Unusable(Exception):
    pass


def use(folder):
    """From now on environment() names it. Returns its version."""
    import confluent_kafka

    before, wheel = _version(), confluent_kafka.libversion()[0]
    libraries = Path(confluent_kafka.__file__).parent.with_name("confluent_kafka.libs")
    found = sorted(libraries.glob("librdkafka-*.so.1")) + sorted(libraries.glob("librdkafka.so.1"))
    if len(found) != 1:
        raise Unusable(f"no shared librdkafka in {libraries}: {[f.name for f in found]}")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "librdkafka.so.1").symlink_to(found[0])
    os.environ["HARNESS_LIBRDKAFKA"] = str(folder)
    now = _version()
    if now != wheel:
        raise Unusable(f"envdriver runs with librdkafka {now}, not with the wheel's {wheel}")
    if _number(now) <= _number(before):
        raise Unusable(f"the wheel's librdkafka {now} is not newer than the system's {before}")
    return now


def _version():
    """What envdriver says that it runs with."""
    done = subprocess.run(
        [program(), "--version"], capture_output=True, text=True, env=environment(), check=False
    )
    found = re.search(r"^librdkafka (\S+)$", done.stdout, re.MULTILINE)
    if not found:
        raise Unusable(f"envdriver --version does not name a librdkafka: {done.stderr[-500:]}")
    return found.group(1)


def _number(version):
    return tuple(map(int, re.findall(r"\d+", version)[:3]))
