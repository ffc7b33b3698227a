#!/usr/bin/env python3
"""What `make` calls, and what works without make: `python3 make.py TARGET`. Standard library only.

Each target does its own set-up: a virtual environment in .venv with exactly the packages of requirements.lock (by hash), then
what the target needs. A second start skips what is there. This file must parse on old Pythons too, to say what is missing.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

LOWEST, HIGHEST = (3, 11), (3, 14)
ROOT = os.path.dirname(os.path.abspath(__file__))
VENV = os.path.join(ROOT, ".venv")
PYTHON = os.path.join(VENV, "bin", "python")
UV = os.path.join(VENV, "bin", "uv")
LOCK = os.path.join(ROOT, "requirements.lock")
STAMP = os.path.join(VENV, "set-up")
CERTIFICATES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")
RABBITMQ = "/usr/lib/rabbitmq/bin/rabbitmq-server"  # Debian's; what PATH has insists on the system's own broker
BROWSERS = ("chromium", "chromium-browser", "google-chrome")

TARGETS = (
    ("up", "the estate, in the foreground, until Ctrl-C"),
    ("demo", "payments leaves the monolith and comes back, under live traffic"),
    ("test", "the whole check: lint, types, import contracts, all tests"),
    ("lint", "the first part of it: ruff, mypy, import contracts"),
    ("bench", "all benchmarks; bench-NAME runs one"),
    ("guide", "types every command of docs/guide and compares the answers; GUIDE_WRITE=1 writes them into the pages"),
    ("differential", "the corpus of requests through nginx and Envoy too; every difference has its reason"),
    ("fuzz", "coverage-guided fuzzing of what reads from outside; SECONDS=60 a target"),
    ("beds", "the coupling ledger of public Django projects; `make test` has one of them"),
    ("faults", "15 minutes (MINUTES=…) of writes while everything that carries them is killed, paused and cut at random"),
    ("faults-engine", "random verbs of the engine (EXAMPLES=100), and whatever fails at any statement, request or step of them"),
    ("faults-handover", "every process killed at every step of a hand-over"),
    (
        "faults-handover-model",
        "every interleaving of a hand-over in a model; for each rule taken out the shortest story of a fault",
    ),
    ("faults-model", "two relays step by step: thousands of examples of what `make test` tries a few of"),
    ("soak", "ten minutes (MINUTES=…) of mixed traffic against the proxy while tables flip and processes are killed"),
    ("lock", "pins all packages anew, by version and hash; ARGS=--upgrade takes newer ones"),
    ("picture", "draws docs/images/shop.svg anew, the shop's couplings, from its ledger"),
    ("containers", "writes docker-compose.yml anew from the table of processes"),
    ("help", "this"),
)
LINT = (
    ("ruff check", ["-m", "ruff", "check", "."]),
    ("ruff format", ["-m", "ruff", "format", "--check", "."]),
    ("mypy", ["-m", "mypy"]),
    ("import contracts", ["-c", "from importlinter.cli import lint_imports_command as run; run()"]),
)

LONG = {
    "beds": "tests/public",
    "faults-engine": "tests/integration/control/test_engine_stateful.py",
    "faults-handover": "tests/faults/test_kill_nine.py",
    "faults-model": "tests/integration/sync/test_two_relays.py",
}
GUIDE = ["-m", "pytest", "-q", "-p", "tests.guide", "-o", "timeout=400", "docs/guide"]
OUTSIDE = ["tests/integration/" + part for part in ("proxy", "local", "containers")]
SYNC = ["tests/integration/sync"]
INSIDE = ["tests/unit", "tests/integration"] + ["--ignore=" + path for path in OUTSIDE + SYNC]
TESTS = (
    # Two at a time, in this order: most tests keep one core busy at the most.
    (
        ("tests of parts, outside", ["-m", "pytest", "-q"] + OUTSIDE),
        ("tests of parts, inside", ["-m", "pytest", "-q"] + INSIDE),
        ("tests of parts, sync", ["-m", "pytest", "-q"] + SYNC),
        ("a public project", ["-m", "pytest", "-q", "tests/public"]),
        # Apart, because Playwright keeps an event loop running in its process, in which Django's ORM refuses to work.
        ("tests of whole estates", ["-m", "pytest", "-q", "tests/e2e", "--ignore=tests/e2e/test_readme.py"]),
    ),
    # Alone, because the clock is a part of what they show, or because they take all there is.
    ("the guide", GUIDE),
    ("the README", ["-m", "pytest", "-q", "tests/e2e/test_readme.py"]),
    ("faults in whole estates", ["-m", "pytest", "-q", "tests/faults"]),
)
AT_ONCE = 2

EVERYDAY = """
import ensurepip, venv, json, sys, time
rows = [{"id": i, "name": str(i), "tags": ["a", "b"]} for i in range(200)]
def once():
    began = time.perf_counter()
    for _ in range(10):
        found = [dict(row, seen=True) for row in json.loads(json.dumps(rows, indent=1)) if row["id"] % 3]
        sorted(found, key=lambda row: row["name"])
    for i in range(50000):
        i += 1
    return time.perf_counter() - began
print(sys.executable, min(once() for _ in range(5)))
"""


class Stop(Exception):
    """The sentence to print before ending with ``code``."""

    def __init__(self, sentence, code=1):
        super().__init__(sentence)
        self.code = code


def main(words):
    target = words[0] if words else "help"
    extra = words[1:] + os.environ.get("ARGS", "").split()
    if target in ("help", "-h", "--help"):
        return show_help()
    known = [name for name, _ in TARGETS]
    if target not in known and not re.match(r"bench-[\w-]+$", target):
        raise Stop("there is no target %r; there are %s" % (target, ", ".join(known)), 2)
    check_version()
    os.chdir(ROOT)
    set_up()
    if target == "up":
        return replace(["-m", "deploy.local.up"] + extra)
    if target == "demo":
        return replace(["-m", "deploy.local.demo"] + extra)
    if target.startswith("bench"):
        return replace(["-m", "tests.benchmarks"] + [target[6:]] * bool(target[6:]) + extra)
    if target == "lock":
        return replace(["-m", "deploy.locks"] + extra)
    if target == "containers":
        return replace(["-m", "deploy.containers"] + extra)
    if target == "picture":
        return replace(["-m", "deploy.picture"] + extra)
    if target == "guide":
        return replace(GUIDE + extra)
    if target == "differential":
        return replace(["-m", "tests.corpus.differential"] + extra)
    if target == "fuzz":
        return replace(["-m", "tests.fuzz"] + extra)
    if target == "faults":
        return replace(["-m", "tests.faults.sync"] + extra)
    if target in LONG:
        os.environ["STRANGLER_LONG"] = "1"
        return replace(["-m", "pytest", LONG[target]] + extra)
    if target == "faults-handover-model":
        return replace(["-m", "tests.models.handover"] + extra)
    if target == "soak":
        return replace(["-m", "tests.soak"] + extra)
    if target == "lint":
        return check(LINT)
    need_curl()
    need_browser()
    need_rabbitmq()
    if extra:
        return check(LINT + (("pytest", ["-m", "pytest", "-q"] + extra),))
    return check(LINT + TESTS)


def show_help():
    print("make TARGET, or: python3 make.py TARGET\n")
    for name, what in TARGETS:
        print("  %-16s %s" % (name, what))
    print("\nARGS='…' hands words on: make test ARGS='tests/unit -k routes', make demo ARGS=--help")
    return 0


def check_version():
    if LOWEST <= sys.version_info[:2] <= HIGHEST:
        return
    wanted = ["python3.%d" % minor for minor in range(HIGHEST[1], LOWEST[1] - 1, -1)]
    fitting = [name for name in wanted if works(name)]
    remedy = "run `make PYTHON=%s …`" % fitting[0] if fitting else "install one and run `make PYTHON=python3.13 …`"
    here = "%s is %s.%s" % (sys.executable, sys.version_info[0], sys.version_info[1])
    raise Stop("this needs Python 3.%d to 3.%d and %s; %s" % (LOWEST[1], HIGHEST[1], here, remedy))


def works(program):
    """Whether it is there and starts (a pyenv shim may be there and not start)."""
    found = shutil.which(program)
    return bool(found) and subprocess.call([found, "-c", ""], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) == 0


# ---- set-up ----------------------------------------------------------------------------------------------------------


def set_up():
    """The virtual environment with exactly the locked packages. Under a second when nothing changed."""
    wanted = fingerprint()
    if read(STAMP) == wanted:
        return
    import fcntl

    with open(os.path.join(ROOT, ".setup.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two targets started at once set up once
        if read(STAMP) == wanted:
            return
        began = time.time()
        say("setting up .venv with the packages of requirements.lock …")
        make_venv()
        install_uv()
        uv("sync", "--quiet", "--compile-bytecode", "--require-hashes", LOCK)
        uv("install", "--quiet", "--no-deps", "--no-build-isolation", "--editable", ROOT)
        with open(STAMP, "w") as stamp:
            stamp.write(wanted)
        say("done in %.0f s" % (time.time() - began))


def fingerprint():
    digest = hashlib.sha256(("%s %s" % (ROOT, sys.version_info[:2])).encode())
    for path in (LOCK, os.path.join(ROOT, "pyproject.toml")):
        with open(path, "rb") as file:
            digest.update(file.read())
    return digest.hexdigest()


def make_venv():
    version = "%d.%d" % sys.version_info[:2]
    if works(PYTHON) and output(PYTHON, "-c", "import sys; print('%d.%d' % sys.version_info[:2])") == version:
        return
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        raise Stop(
            "this Python can't make virtual environments; on Debian and Ubuntu type "
            "`%sapt-get install python3-venv` and start again" % sudo()
        )
    shutil.rmtree(VENV, ignore_errors=True)
    if subprocess.call([quickest_python(), "-m", "venv", VENV]):
        shutil.rmtree(VENV, ignore_errors=True)
        raise Stop("the virtual environment can't be made (see above); when that is mended, start again")


def quickest_python():
    """This Python, or another one of its version that is clearly quicker, unless PYTHON=… chose this one.

    One that was compiled without profile-guided optimisation, as pyenv does by default, is slower by a quarter and more.
    """
    if os.environ.get("PYTHON"):
        return sys.executable
    name = "python%d.%d" % sys.version_info[:2]
    directories = os.environ.get("PATH", "").split(os.pathsep) + ["/usr/local/bin", "/usr/bin", "/opt/homebrew/bin"]
    others = [path for path in (os.path.join(each, name) for each in sorted(set(directories))) if os.access(path, os.X_OK)]
    times = {}  # type: dict[str, list[float]]
    for python in [sys.executable, *others] * 3:  # in turns: other work on the machine comes and goes
        which, seconds = speed(python)
        times.setdefault(which, []).append(seconds)
    mine = next(iter(times))
    best = min(times, key=lambda which: min(times[which]))
    gain = min(times[mine]) / min(times[best])
    if gain < 1.15:
        return sys.executable
    say("%s is %.1f times as quick as %s, so .venv is made with it (PYTHON=… chooses)" % (best, gain, mine))
    return best


def speed(python):
    """Which one it really is (pyenv has shims), and the seconds that some everyday code takes; infinite if it makes no venv."""
    done = subprocess.run([python, "-c", EVERYDAY], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    which, _, seconds = done.stdout.decode().strip().rpartition(" ")
    return (which, float(seconds)) if done.returncode == 0 and which else (python, float("inf"))


def install_uv():
    """The locked uv, by pip and by hash."""
    with open(LOCK) as file:
        found = re.search(r"^uv==(\S+).*?(?=^\S)", file.read() + "\nend", re.M | re.S)
    if not found:
        raise Stop("requirements.lock has no uv; take the file anew from the repository")
    if os.path.exists(UV) and output(UV, "--version").split()[1:2] == [found.group(1)]:
        return
    with tempfile.TemporaryDirectory() as directory:
        locked = os.path.join(directory, "uv.txt")
        with open(locked, "w") as file:
            file.write(found.group(0))
        run(PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes", "-r", locked)


def uv(command, *words):
    run(UV, "pip", command, "--python", PYTHON, *(trust() + list(words)))


def trust():
    """The system's certificates where it has some: a company's proxy is known to them and not to uv's own."""
    return ["--system-certs"] if sys.platform == "darwin" or any(map(os.path.exists, CERTIFICATES)) else []


def run(*words):
    if subprocess.call(words):
        raise Stop("`%s` failed (see above); when that is mended, start again" % " ".join(words[:4]))


def output(*words):
    return subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, universal_newlines=True).stdout.strip()


def read(path):
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return ""


def need_browser():
    """Debian's Chromium for tests of pages: a browser can't come from the package lock."""
    need(BROWSERS, "chromium", "the end-to-end tests need Chromium")


def need_curl():
    need(("curl",), "curl", "the proxy's tests need curl")


def need_rabbitmq():
    """Debian's RabbitMQ, which the tests start themselves. Where installing it would start a service of the system we ask."""
    if os.path.exists("/run/systemd/system") and not any(map(shutil.which, (RABBITMQ, "rabbitmq-server"))):
        raise Stop(
            "the tests of brokers need RabbitMQ, and installing it here would start it as a service; type "
            "`%sapt-get install rabbitmq-server && %ssystemctl disable --now rabbitmq-server` and start again" % (sudo(), sudo())
        )
    need((RABBITMQ, "rabbitmq-server"), "rabbitmq-server", "the tests of brokers need RabbitMQ")


def need(programs, package, why):
    """One of some programs; Debian's package where there is none and we may install it."""
    if any(shutil.which(name) for name in programs):
        return
    if shutil.which("apt-get") and os.geteuid() == 0:
        say("%s: installing Debian's package `%s` …" % (why, package))
        quiet = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
        subprocess.call(["apt-get", "update", "-qq"], env=quiet)
        if subprocess.call(["apt-get", "install", "-y", "-qq", "--no-install-recommends", package], env=quiet) == 0:
            return
    raise Stop("%s; type `%sapt-get install %s` and start again" % (why, sudo(), package))


def sudo():
    return "" if os.geteuid() == 0 else "sudo "


# ---- running ---------------------------------------------------------------------------------------------------------


def replace(words):
    """Go on as the virtual environment's Python, so that signals and the exit code are the program's own."""
    sys.stdout.flush()
    os.execv(PYTHON, [PYTHON] + words)


def check(steps):
    """Run all steps, also after one failed; the summary is short and the exit code honest."""
    results = []
    for step in steps:
        results += side_by_side(step if isinstance(step[0], tuple) else (step,))
    print()
    for name, code, seconds in results:
        print("%s %-23s %6.1f s" % ("✗" if code else "✓", name, seconds))
    return 1 if any(code for _, code, _ in results) else 0


def side_by_side(steps):
    """Name, exit code and seconds of each. What one says is seen as it comes, what the others said when that one has ended."""
    waiting, running, unseen, results = list(steps), [], [], []  # type: list[tuple], list[tuple], list[tuple], list[tuple]
    while waiting or running:
        while waiting and len(running) < AT_ONCE:
            name, words = waiting.pop(0)
            heard = any(each[1] is None for each in running)
            said = tempfile.TemporaryFile("w+") if heard else None  # noqa: SIM115 (closed when it was shown)
            process = subprocess.Popen([PYTHON] + words, stdout=said, stderr=said and subprocess.STDOUT)
            running.append((name, said, process, time.time()))
            say("%s …" % name)
        time.sleep(0.05)
        for each in [each for each in running if each[2].poll() is not None]:
            name, said, process, began = each
            running.remove(each)
            results.append((name, process.returncode, time.time() - began))
            unseen += [(name, said)] if said else []
        while unseen and all(said for _, said, _, _ in running):
            show(*unseen.pop(0))
    return results


def show(name, said):
    say("what %s said:" % name)
    said.seek(0)
    shutil.copyfileobj(said, sys.stdout)
    said.close()


def say(text):
    print("make: %s" % text, flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except Stop as stop:
        print("make: %s" % stop, file=sys.stderr)
        sys.exit(stop.code)
    except KeyboardInterrupt:
        sys.exit(130)
