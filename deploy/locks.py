"""Behind `make lock`: pins every package anew, by version and hash. The images' locks are parts of the whole one."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
UV = str(Path(sys.executable).with_name("uv"))
WHOLE = "requirements.lock"
PUBLIC = ("oscar", "pretalx", "wagtail")  # what `make beds` runs on
APART = (
    "tests/benchmarks/requirements.lock",
    "tests/benchmarks/sync/requirements.lock",
    "tests/benchmarks/analysis/requirements.lock",
    "tests/fuzz/requirements.lock",
    *(f"tests/public/{name}/requirements.lock" for name in PUBLIC),
)
COMMAND = (
    UV, "pip", "compile", "--quiet", "--universal", "--python-version", "3.11", "--generate-hashes", "--no-emit-index-url",
    "--custom-compile-command", "make lock",
)  # fmt: skip


def direct() -> dict[str, list[str]]:
    """Lock file → what is asked for in it, from ``pyproject.toml``."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    project, groups = declared["project"], declared["dependency-groups"]
    proxy, analysis = (project["optional-dependencies"][extra] for extra in ("proxy", "analysis"))
    product = [*project["dependencies"], *analysis, "psycopg[binary]"]
    return {
        WHOLE: [*project["dependencies"], *proxy, *_members(groups, "dev")],
        "monolith/requirements.lock": [*project["dependencies"], *_members(groups, "shop")],
        "proxy/requirements.lock": proxy,
        APART[0]: _members(groups, "peers"),
        APART[1]: _members(groups, "mirrors"),
        APART[2]: _members(groups, "analysers"),
        APART[3]: [*proxy, *_members(groups, "fuzzing")],
        **{f"tests/public/{name}/requirements.lock": [*product, *_members(groups, name)] for name in PUBLIC},
    }


def _members(groups: dict[str, list[str | dict[str, str]]], name: str) -> list[str]:
    found: list[str] = []
    for member in groups[name]:
        found += _members(groups, member["include-group"]) if isinstance(member, dict) else [member]
    return found


def main(words: list[str]) -> int:
    """``words`` go to uv: ``--upgrade``, ``--upgrade-package NAME``."""
    for path, requirements in direct().items():
        whole = [] if path in (WHOLE, *APART) else ["--constraint", WHOLE]
        line = [*COMMAND, *whole, "--output-file", path, *words, "-"]
        done = subprocess.run(line, input="\n".join(requirements), text=True, cwd=ROOT, stdout=subprocess.DEVNULL, check=False)
        if done.returncode:
            return done.returncode
        print(f"wrote {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
