# SPDX-License-Identifier: Apache-2.0
"""tests/run itself: what it makes of programs that pass, fail, skip, crash, hang or say nothing;
and the worker of the harness, with a stand-in for envdriver."""

import subprocess
import textwrap

from harness import runner, suites, worker

CMOCKA = """
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>
static void test_a(void **state) {{ (void)state; }}
static void test_b(void **state) {{ (void)state; {body} }}
int main(void) {{
    const struct CMUnitTest tests[] = {{ cmocka_unit_test(test_a), cmocka_unit_test(test_b) }};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    {end}
    return failed;
}}
"""


def test_unit_programs_are_judged(t):
    rows = [
        # name, body of test_b, end of main, expected
        ("passes", "", "", [("a", "passed"), ("b", "passed")]),
        ("fails", "assert_int_equal(1, 2);", "", [("a", "passed"), ("b", "failed")]),
        ("skips", "skip();", "", [("a", "passed"), ("b", "skipped")]),
        ("exits inside", "_exit(0);", "", [("a", "passed"), ("b", "failed")]),
        ("hangs", "pause();", "", [("a", "passed"), ("b", "failed")]),
        ("bad exit", "", "return 3;", [("a", "passed"), ("b", "passed"), ("", "failed")]),
        ("aborts at the end", "", "abort();", [("a", "passed"), ("b", "passed"), ("", "failed")]),
        ("is killed inside", "kill(getpid(), 9);", "", [("a", "passed"), ("b", "failed")]),
    ]
    for name, body, end, expected in rows:
        source = CMOCKA.format(body=body, end=end)
        program = build(t.dir / name.replace(" ", "-"), f"#include <signal.h>\n{source}")
        test = suites.Unit("unit/x", [program])
        test.seconds = 2
        found = judged(test, t.dir)
        assert found == [(f"unit/x:test_{n}" if n else "unit/x", s) for n, s in expected], (name, found)


def test_a_program_that_reports_nothing_fails(t):
    program = build(t.dir / "silent", "int main(void) { return 0; }")
    assert judged(suites.Unit("unit/x", [program]), t.dir) == [("unit/x", "failed")]
    missing = suites.Unit("unit/x", [t.dir / "missing"])
    assert judged(missing, t.dir) == [("unit/x", "failed")]


def test_suites_count_for_themselves(t):
    rows = [
        ("echo '2 passed, 0 failed'", ["passed", "passed"]),
        ("echo x; echo '1 passed, 1 failed, 1 skipped'; exit 1", ["passed", "failed", "skipped"]),
        ("echo '1 passed, 0 failed, 0 skipped'; exit 1", ["passed", "failed"]),
        ("echo 'all is well'", ["failed"]),
    ]
    for script, expected in rows:
        suite = suites.Suite("golden", ["/bin/sh", "-c", script])
        assert [s for _, s in judged(suite, t.dir)] == expected, script


def test_what_failed_in_company_runs_once_more_alone(t):
    def pairs(*statuses):
        tests = [suites.Suite(f"t{i}", ["true"]) for i in range(len(statuses))]
        return [(test, [suites.Result(test.name, s)]) for test, s in zip(tests, statuses)]

    def run_one(test, more):
        asked.append(test.name + more)
        return [suites.Result(test.name, second)]

    asked, second = [], "passed"
    found = runner.alone(pairs("passed", "failed", "skipped"), run_one)
    assert asked == ["t1-alone"], asked
    assert [r.status for _, [r] in found] == ["passed", "passed", "skipped"]
    second = "failed"
    found = runner.alone(pairs("failed", "passed"), run_one)
    assert [r.status for _, [r] in found] == ["failed", "passed"]
    asked, second = [], "passed"
    found = runner.alone(pairs(*["failed"] * 5), run_one)
    assert not asked and [r.status for _, [r] in found] == ["failed"] * 5


def judged(test, folder):
    return [(r.name, r.status) for r in test.run(folder)]


def build(path, source):
    subprocess.run(
        ["gcc", "-x", "c", "-o", path, "-", "-lcmocka"],
        input=source,
        text=True,
        check=True,
    )
    return path


# --- the worker ---

STAND_IN = """
    #!/usr/bin/env python3
    import http.server, os, signal, sys, threading, time
    config = dict(line.split(" = ", 1) for line in open(sys.argv[3]).read().splitlines())
    host, port = config["http.listen"].split(":")
    began = time.time()
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            bodies = {"/readyz": b"waiting for Redis", "/metrics": b'a{x="1"} 2\\na{x="2"} 3\\nab 9\\n'}
            self.send_response(200 if time.time() - began > 0.2 else 503)
            self.end_headers()
            self.wfile.write(bodies[self.path])
        def log_message(self, *_):
            pass
    def end(*_):
        if "report" in sys.argv:
            print("==1==ERROR: LeakSanitizer: detected memory leaks", file=sys.stderr, flush=True)
        os._exit(5 if "bad" in sys.argv else 0)
    signal.signal(signal.SIGTERM, end if "deaf" not in sys.argv else signal.SIG_IGN)
    if "dies" in sys.argv:
        sys.exit("envdriver: cannot open x")
    print("started as", config["instance.id"], file=sys.stderr, flush=True)
    http.server.HTTPServer((host, int(port)), Handler).serve_forever()
"""


def stand_in(t, *options):
    path = t.dir / "envdriver"
    path.write_text(textwrap.dedent(STAND_IN).lstrip())
    path.chmod(0o755)
    before = worker.program
    worker.program = lambda build=None: path
    t.at_end(lambda: setattr(worker, "program", before))
    return worker.Worker(t.dir, "w1", options=options)


def test_worker_lives_and_ends(t):
    one = stand_in(t).start().wait_ready()
    assert one.metric("a") == 5 and one.metric("b") is None
    assert one.get("/readyz").body == "waiting for Redis"
    one.stop()
    assert one.ready_status() is None
    one.cont()
    one.kill()
    assert one.wait() == -9
    one.start().wait_ready()
    assert one.stderr().count("started as w1") == 2
    one.assert_clean()
    assert one.wait() == 0


def test_worker_faults_fail_the_test(t):
    rows = [
        ("report", "LeakSanitizer"),
        ("bad", "exit code 5"),
        ("deaf", "did not end within 1 s"),
    ]
    for option, expected in rows:
        one = stand_in(t, option).start().wait_ready()
        complains(expected, lambda: one.assert_clean(timeout=1))
        assert not one.running
        one.stderr_path.unlink()
    complains("cannot open x", lambda: stand_in(t, "dies").start().wait_ready())


def complains(expected, action):
    try:
        action()
    except AssertionError as error:
        assert expected in str(error), error
    else:
        raise AssertionError(f"nobody said: {expected}")
