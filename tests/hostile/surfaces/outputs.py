"""Where results go: output paths, standard output of every kind, encodings, the system's limits, odd folders."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hostile.inputs import Input, folder, link, pipe

SIMULATE = "simulate --plan plan.yaml"


def paths() -> Iterator[Input]:
    """Output names, on a simulation of the toy, and where a command writes several files."""

    def out(name: str, given: str, option: str = "--report", **more: Any) -> Input:
        return Input(f"{option} {name}", [*SIMULATE.split(), option, given], made=("toy",), **more)

    for option in ("--report", "--trace", "--perfetto"):
        for length in (243, 250, 255):
            name = "n" * (length - 5) + ".html"
            yield out(f"of {length} letters", name, option, expected="fine", writes=(name,))
        for length in (256, 300, 5000):
            yield out(f"of {length} letters", "n" * length, option)
        yield out("a folder", "folder", option, files={"folder": folder})
        yield out("in no folder", "nowhere/out", option)
        yield out("below a file", "plan.yaml/out", option)
        yield out("with a NUL", "a\0b", option)
        yield out("that is the plan", "plan.yaml", option)
        yield out("that is the model", "model.yaml", option)
        yield out("that is there", "out", option, files={"out": "mine"})
        yield out("a dangling link", "out", option, files={"out": link("nowhere")})
        yield out("a dangling link out of the folder", "out", option, files={"out": link("../outside/new")})
        yield out("a link to a file", "out", option, files={"out": link("target"), "target": "mine"})
        yield out("a link to itself", "out", option, files={"out": link("out")})
        yield out("a socket", "out", option, files={"out": _bound_socket})
        yield out("a pipe that nobody reads", "out", option, files={"out": pipe})
        yield out("/dev/full", "/dev/full", option)
        yield out("/dev/null", "/dev/null", option, expected="fine")
        forced = [*SIMULATE.split(), option, "out", "--force"]
        yield Input(
            f"{option} forced onto a link",
            forced,
            {"out": link("target"), "target": "mine"},
            ("toy",),
            expected="fine",
            writes=("target",),
        )
        yield Input(f"{option} forced onto a dangling link", forced, {"out": link("nowhere")}, ("toy",))
        yield Input(f"{option} forced onto a link to the plan", forced, {"out": link("plan.yaml")}, ("toy",))
        yield Input(f"{option} forced onto a folder", forced, {"out": folder}, ("toy",))
        yield Input(
            f"{option} forced onto a file of mode 600",
            forced,
            {"out": "mine"},
            ("toy",),
            expected="fine",
            writes=("out",),
            arrange=lambda work: (work / "out").chmod(0o600),
        )
        for planted in (".out.part", ".out.html.part", ".out.part.html"):
            yield Input(
                f"{option} beside a planted link {planted}",
                [*SIMULATE.split(), option, "out.html"],
                {planted: link("../outside/secret.txt")},
                ("toy",),
                expected="fine",
                writes=("out.html",),
            )
    yield Input("two outputs of one name", f"{SIMULATE} --trace out --perfetto ./out", made=("toy",))
    yield Input(
        "two outputs of one link",
        f"{SIMULATE} --trace out --perfetto other --force",
        {"out": "mine", "other": link("out")},
        ("toy",),
    )
    yield Input("a schema over a link", "plan schema -o out", {"out": link("../outside/secret.txt")})
    for planted in (".video.part.mp4", ".video.mp4.part", ".video.part.png"):
        yield Input(
            f"a video beside a planted link {planted}",
            VIDEO,
            {planted: link("../outside/secret.txt")},
            ("weights",),
            expected="fine",
            writes=("video.*",),
            is_quick=False,
        )
        yield Input(
            f"a video beside a planted folder {planted}",
            VIDEO,
            {planted: folder},
            ("weights",),
            expected="fine",
            writes=("video.*",),
            is_quick=False,
        )
    for name in ("video.png", "video.json"):
        yield Input(f"a video whose {name} is there", VIDEO, {name: "mine"}, ("weights",))
        yield Input(f"a video whose {name} is a link", VIDEO, {name: link("../outside/secret.txt")}, ("weights",))
    for length in (245, 254, 256):  # the sidecar's suffix is a letter longer
        yield Input(
            f"a video of {length} letters",
            [*VIDEO[:-1], "v" * (length - 4) + ".mp4"],
            made=("weights",),
            expected="fine" if length < 256 else "refused",
            writes=("v*",),
            is_quick=False,
        )


VIDEO = ["generate", "a red circle moving left", *["--plan", "plan.yaml", "--weights", "weights", "-o", "video.mp4"]]


def _bound_socket(path: Path) -> None:
    before = os.getcwd()
    os.chdir(path.parent)  # a socket's path must be short
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind(path.name)
    os.chdir(before)


SHOWING = {
    "summary": SIMULATE,
    "JSON": f"{SIMULATE} --json",
    "side by side": f"{SIMULATE} --plan plan.yaml",
    "plan list": "plan list",
    "plan show": "plan show plan.yaml",
    "plan schema": "plan schema",
    "plan explain": "plan explain plan.yaml",
    "plan search": "plan search --plan plan.yaml --seconds 1",
    "profile list": "profile list",
    "profile show": "profile show iphone15pro",
    "validate published": "validate published",
    "usage": "--help",
}
"""Commands that print, none of which takes long."""


def encodings() -> Iterator[Input]:
    for encoding in ("ascii", "latin-1", "cp1252", "cp437", "utf-8"):
        for name, command in SHOWING.items():
            yield Input(
                f"{name} in {encoding}",
                command,
                made=("toy",),
                expected="fine",
                encoding=encoding,
                is_quick=name in ("summary", "plan list", "plan show", "side by side"),
            )
    named = 'name: "plan \\u2013 \\U0001F3AC Z\\u00fcrich"\nmodel: model.yaml\n'
    for encoding in ("ascii", "latin-1", "cp1252", "utf-8"):
        for name in ("summary", "JSON", "side by side", "plan show"):
            yield Input(
                f"{name} of an odd name in {encoding}",
                SHOWING[name],
                {"plan.yaml": named},
                ("toy",),
                expected="fine",
                encoding=encoding,
            )
    for locale in ("POSIX", "C.UTF-8"):
        for io in ("ascii", "latin-1", "cp1252:strict", "ascii:strict"):
            yield Input(
                f"summary with LC_ALL={locale} PYTHONIOENCODING={io}",
                SIMULATE,
                made=("toy",),
                expected="fine",
                shell="COMMAND",
                encoding=io.split(":")[0],
                is_quick=False,
                env={"LC_ALL": locale, "PYTHONIOENCODING": io},
            )
    yield Input(
        "summary with LC_ALL=POSIX and no UTF-8 mode",
        SIMULATE,
        made=("toy",),
        expected="fine",
        shell="COMMAND",
        is_quick=False,
        encoding="ascii",
        env={"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    )
    for name, given in (("latin-1", b"pl\xe9.yaml"), ("half a character", b"\xff.yaml")):
        quoted = "$'" + "".join(f"\\x{byte:02x}" for byte in given) + "'"
        yield Input(
            f"a plan's name in {name}",
            SIMULATE,
            made=("toy",),
            is_quick=False,
            expected="either",
            shell=f"cp plan.yaml {quoted} 2>/dev/null; COMMAND --plan {quoted}; s=$?; rm {quoted}; exit $s",
        )


def streams() -> Iterator[Input]:
    """Standard output and error that are full, closed, read by nobody or by a file."""
    full, closed = ">/dev/full", ">&-"
    for name in ("summary", "JSON", "side by side", "plan list", "plan show", "profile list", "usage"):
        for kind, redirection in (("full", full), ("closed", closed)):
            yield Input(
                f"{name}, standard output {kind}",
                SHOWING[name],
                made=("toy",),
                shell=f"COMMAND {redirection}",
                is_quick=False,
            )
    for name in ("summary", "plan list"):
        for kind, redirection in (("full", "2>/dev/full"), ("closed", "2>&-")):
            yield Input(
                f"{name}, standard error {kind}",
                SHOWING[name],
                made=("toy",),
                expected="fine",
                shell=f"COMMAND {redirection}",
                is_quick=False,
            )
        yield Input(
            f"{name}, all closed",
            SHOWING[name],
            made=("toy",),
            expected="either",
            statuses=(0, 2, 3),
            shell="COMMAND <&- >&- 2>&-",
            is_quick=False,
        )
        yield Input(
            f"{name}, the reader leaves early",
            SHOWING[name],
            made=("toy",),
            expected="fine",
            shell="COMMAND | head -c 1 >/dev/null; exit ${PIPESTATUS[0]}",
            is_quick=False,
        )
    yield Input(
        "a mistake, standard error full",
        "simulate --plan nowhere",
        made=("toy",),
        shell="COMMAND 2>/dev/full",
        is_quick=False,
    )
    for option in ("--report", "--trace", "--perfetto"):
        command = f"{SIMULATE} {option} /dev/stdout"
        yield Input(
            f"{option} /dev/stdout into a pipe",
            command,
            made=("toy",),
            expected="fine",
            is_quick=False,
            shell="COMMAND | cat; exit ${PIPESTATUS[0]}",
        )
        yield Input(
            f"{option} /dev/stdout into a file",
            command,
            made=("toy",),
            expected="fine",
            is_quick=False,
            shell="COMMAND > got; s=$?; grep -q FITS got && exit $s",
            writes=("got",),
        )
        yield Input(
            f"{option} /dev/stdout into a file, forced",
            f"{command} --force",
            made=("toy",),
            expected="fine",
            shell="COMMAND > got; s=$?; test -L /dev/stdout && exit $s",
            writes=("got",),
            is_quick=False,
        )
        yield Input(
            f"{option} into a pipe that is read",
            f"{SIMULATE} {option} p",
            {"p": pipe},
            ("toy",),
            expected="fine",
            shell="cat p >/dev/null & COMMAND; s=$?; wait; exit $s",
            is_quick=False,
        )
    yield Input(
        "/dev/stdout that is closed",
        f"{SIMULATE} --trace /dev/stdout",
        made=("toy",),
        shell="COMMAND >&-",
        is_quick=False,
    )


def limits() -> Iterator[Input]:
    """What the system allows: memory, open files, the size of files."""
    commands = {
        "simulate": (f"{SIMULATE} --report out.html --trace out.json", ("toy",), ("out.*",)),
        "generate": (VIDEO, ("weights",), ("video.*",)),
        "run": ("run --plan plan.yaml --store blocks --trace out.json", ("store",), ("out.json",)),
    }
    for name, (command, made, writes) in commands.items():
        for megabytes in (200, 300, 400, 500, 600, 700, 800, 850, 900, 1000, 2000):
            yield Input(
                f"{name} in {megabytes} MB of address space",
                command,
                made=made,
                expected="either",
                writes=writes,
                shell=f"ulimit -v {megabytes}000; COMMAND",
                is_quick=False,
            )
        for files in (10, 16, 24, 48):
            yield Input(
                f"{name} with {files} open files",
                command,
                made=made,
                expected="either",
                writes=writes,
                shell=f"ulimit -n {files}; COMMAND",
                is_quick=False,
            )
        yield Input(f"{name} with files of 1 kB", command, made=made, shell="ulimit -f 1; COMMAND", is_quick=False)


def folders() -> Iterator[Input]:
    """Working folders that are gone, read-only, linked, or hold modules named as ours."""
    nobody = "setpriv --reuid 65534 --regid 65534 --clear-groups " if os.geteuid() == 0 else ""
    gone = "mkdir gone; cp *.yaml gone; cd gone; rm -r ../gone; COMMAND"
    closed, opened = "chmod 755 . ; chmod a+r *; chmod a-w .; ", "; s=$?; chmod 755 .; exit $s"
    yield Input(
        "simulate in a folder that is gone",
        SIMULATE.replace("plan.yaml", "app-192"),
        made=("toy",),
        expected="fine",
        shell=gone,
        is_quick=False,
    )
    for name, command in {
        "a relative plan": SIMULATE,
        "a report": "simulate --report",
        "a sweep": "plan sweep ../grid.yaml -o table.csv",
        "a schema": "plan schema -o out.json",
        "an import": "profile import ../capture.json",
    }.items():
        yield Input(f"{name} in a folder that is gone", command, made=("sweep",), shell=gone, is_quick=False)
    if not nobody or os.path.exists("/usr/bin/setpriv"):
        for name, command in {
            "a report": f"{SIMULATE} --report out.html",
            "a trace": f"{SIMULATE} --trace out.json",
            "a sweep": "plan sweep grid.yaml -o other.csv --processes 1",
            "validate host": "validate host -o host --plans 1 --rounds 1 --width 32 --depth 1",
            "a store": "profile capture --store blocks --width 32 --depth 1 -o host.yaml",
            "a state": "plan search --plan plan.yaml --seconds 1 --state state2.json",
        }.items():
            yield Input(
                f"{name} in a folder that may not be written",
                command,
                made=("sweep",),
                is_quick=False,
                shell=f"{OPENED}{closed}{nobody}COMMAND{opened}",
            )
    for module in ("msgspec", "torch", "ondevice_sora"):
        yield Input(
            f"capture beside a module {module}.py",
            "profile capture --store blocks --repeats 1 -o host.yaml",
            {f"{module}.py": "open('../outside/ran', 'w'); raise SystemExit(7)\n"},
            ("store",),
            expected="fine",
            shell="COMMAND",
            writes=("host.yaml",),
            is_quick=False,
        )
    yield Input(
        "simulate beside a module plans.py", SIMULATE, {"plans.py": "raise SystemExit(7)\n"}, ("toy",), expected="fine"
    )


OPENED = 'd=$(dirname "$PWD"); while [ "$d" != / ]; do chmod o+x "$d"; d=$(dirname "$d"); done; '
"""Let another user into the folders above: they are this user's alone."""


def prompts() -> Iterator[Input]:
    def prompt(text: str, **more: Any) -> Input:
        command = ["generate", text, "--plan", "plan.yaml", "--weights", "weights", "-o", "video.gif"]
        return Input(repr(text[:40]), command, made=("weights",), writes=("video.*",), **more)

    for text in (
        "",
        " ",
        "\n",
        "a",
        "qwertz",
        "a red circle " * 100,
        "x" * 100_000,
        "\x1b[31m red circle",
        "a\0b",
        "日本",
        "🎬",
        "--help me",
        "<script>",
        "'; rm -rf ~",
        "$(touch ran)",
        "../../x",
        "\u202e",
        "a red circle\n",
    ):
        yield prompt(text, expected="either", is_quick=False)
    yield prompt("a red circle moving left", expected="fine", is_quick=False)
    for seed in ("-1", "1e3", "x", str(2**63), "9" * 100, ""):
        yield Input(f"seed {seed[:20]!r}", [*VIDEO, "--seed", seed], made=("weights",))
    for scale in ("0", "17", "-1", "x"):
        yield Input(f"scale {scale}", [*VIDEO, "--scale", scale], made=("weights",))


SURFACES = {
    "output paths": paths,
    "encodings": encodings,
    "output streams": streams,
    "limits": limits,
    "working folder": folders,
    "prompts": prompts,
}
