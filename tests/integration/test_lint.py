# SPDX-License-Identifier: Apache-2.0
"""scripts/check-deps finds what it looks for: a small tree of three files with one fault each."""

import shutil
import subprocess

from harness.paths import ROOT

GOOD = {
    "Makefile": "folders := low high\n",
    "src/low/ant.c": '#include "ant.h"\nint\nant_count(void)\n{\n\treturn 1;\n}\n',
    "src/low/ant.h": "int ant_count(void);\n",
    "src/high/bee.c": '#include "bee.h"\n#include "low/ant.h"\nint\nbee_count(void)\n{\n'
    "\treturn ant_count();\n}\n",
    "src/high/bee.h": "int bee_count(void);\n",
}
BEE = "int bee_count(void);\n"
LISTED = ["src/low/ant.c", "src/high/bee.c"]


def lint(folder, changes, listed=()):
    """What it says of the good tree with these files in the place of its own."""
    shutil.rmtree(folder, ignore_errors=True)
    for path, text in {**GOOD, **changes}.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, "utf-8")
    (folder / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "check-deps", folder / "scripts")
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    for source in (folder / "src").rglob("*.c"):
        out = folder / "build/release" / source.relative_to(folder).with_suffix(".o")
        out.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cc", f"-I{folder}/src", "-c", "-o", out, source], check=True)
    (folder / ".gitignore").write_text("build/\n", "utf-8")
    done = subprocess.run(
        [folder / "scripts/check-deps", *listed], capture_output=True, text=True, check=False
    )
    assert done.returncode == bool(wrong(done.stdout)), done.stdout + done.stderr
    return wrong(done.stdout)


def wrong(text):
    """All lines but the figures, which are indented."""
    return [line for line in text.splitlines() if not line.startswith(" ")]


def test_check_deps(t):
    folder = t.dir / "tree"
    assert lint(folder, {}, LISTED) == []
    for changes, expected in (
        (
            {"src/low/ant.h": '#include "high/bee.h"\nint ant_count(void);\n'},
            "src/low/ant.h: low includes high/bee.h, which lies above it",
        ),
        (
            {"src/low/ant.c": GOOD["src/low/ant.c"].replace("int\n", BEE + "int\n", 1)
             .replace("return 1", "return bee_count()")},
            "src/low/ant.c: calls bee_count of src/high/bee.c, which lies above it",
        ),
        (
            {"src/low/ant.c": GOOD["src/low/ant.c"] + "int wasp;\n"},
            "src/low/ant.c: exports wasp, which does not begin with its noun",
        ),
        ({"src/odd/cat.h": "int cat_count(void);\n"}, "folder 'odd' is not in"),
        ({"src/low/ant_more.c": "/* More. */\nint ant_more;\n"}, "is not in the lists of sources.mk"),
    ):  # fmt: skip
        found = lint(folder, changes, LISTED)
        assert any(expected in line for line in found), (expected, found)


def test_hardening_is_looked_for(t):
    """scripts/check-hardening names what a program lacks that was built without it."""
    soft = ["-O2", "-no-pie", "-Wl,-z,norelro,-z,lazy,-z,execstack", "-fno-stack-protector",
            "-U_FORTIFY_SOURCE", "-fcf-protection=none"]
    (t.dir / "soft.c").write_text("int main(void)\n{\n\treturn 0;\n}\n", "ascii")
    subprocess.run(["cc", *soft, "-o", t.dir / "soft", t.dir / "soft.c"], check=True)
    done = subprocess.run([ROOT / "scripts/check-hardening", t.dir / "soft"], capture_output=True,
                          text=True, check=False)
    assert done.returncode == 1
    for part in ("PIE", "relro", "-z now", "not executable", "protector", "FORTIFY", "cf-protection"):
        assert f"{part}" in done.stdout, (part, done.stdout)
