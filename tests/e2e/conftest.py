"""Debian's Chromium instead of Playwright's own download."""

from __future__ import annotations

import os
import shutil
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    found = next((path for path in map(shutil.which, NAMES) if path), None)
    assert found, "No Chromium on the PATH. Debian: apt-get install chromium"
    quiet = [f"--disable-{what}" for what in ("gpu", "quic", "background-networking", "component-update", "sync")]
    sandbox = [] if os.getuid() else ["--no-sandbox"]  # Chromium refuses its sandbox to root
    return {**browser_type_launch_args, "executable_path": found, "args": [*quiet, *sandbox]}
