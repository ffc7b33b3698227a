"""Reads the files in several processes. They are new ones, which never import Django, not forks of this one with its threads and
connections; a project of a few hundred files is read here at once.
"""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, SimpleQueue

from strangler.analysis.static.names import Exports
from strangler.analysis.static.reader import Died, Reader, Unstartable
from strangler.analysis.static.source import Project
from strangler.analysis.static.walk import Detectors, Files, Part, found, look_at
from strangler.domain.coupling.edges import Found, Skipped

Progress = Callable[[int, int], None]
WORTH = 1_500_000  # bytes of source, which one process reads in the time that two need to start
BATCH = (50_000, 2_000_000)  # bytes, at least and at most
MOST = 8  # processes


def read_by(processes: int | None, project: Project, detectors: Detectors, progress: Progress) -> Found:
    files = sorted(project.files.items())
    sizes = [_size(path) for _, path in files]
    count = min(MOST, _cores()) if processes is None else processes
    if processes is None and sum(sizes) < WORTH:
        count = 1
    batches = list(_batches(files, sizes, max(count, 1)))
    count = min(count, len(batches))
    try:
        parts = _together(count, project, detectors, batches, progress) if count > 1 else None
    except Unstartable:
        parts = None
    parts = _alone(project, detectors, batches, progress) if parts is None else parts
    return found(project, [parts[at] for at in range(len(batches))])


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _batches(files: Files, sizes: list[int], processes: int) -> Iterator[Files]:
    """Neighbours together; some for each process, so that all end at about the same time."""
    enough = min(max(sum(sizes) // (processes * 8), BATCH[0]), BATCH[1])
    batch: list[tuple[str, Path]] = []
    held = 0
    for one, size in zip(files, sizes, strict=True):
        batch.append(one)
        held += size
        if held >= enough:
            yield batch
            batch, held = [], 0
    if batch:
        yield batch


def _alone(project: Project, detectors: Detectors, batches: list[Files], progress: Progress) -> dict[int, Part]:
    exports, parts = Exports(project.files), {}
    with without_collector():
        for at, batch in enumerate(batches):
            parts[at] = look_at(project, batch, detectors, exports)
            progress(sum(part.files for part in parts.values()), len(project.files))
    return parts


@contextmanager
def without_collector() -> Iterator[None]:
    """A tree holds no cycles, so looking for them in each that grows is for nothing."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _together(
    processes: int, project: Project, detectors: Detectors, batches: list[Files], progress: Progress
) -> dict[int, Part]:
    """Each reader has a thread here that hands it one batch after the other."""
    work: SimpleQueue[tuple[int, Files]] = SimpleQueue()
    done: SimpleQueue[tuple[int, Part | BaseException]] = SimpleQueue()
    for numbered in enumerate(batches):
        work.put(numbered)
    readers = [Reader(project, detectors) for _ in range(processes)]
    parts: dict[int, Part] = {}
    try:
        for reader in readers:
            threading.Thread(target=_hand_out, args=(reader, work, done), daemon=True).start()
        while len(parts) < len(batches):
            at, part = done.get()
            if isinstance(part, BaseException):
                raise part
            parts[at] = part
            progress(sum(one.files for one in parts.values()), len(project.files))
    finally:
        for reader in readers:
            reader.close()
    return parts


def _hand_out(reader: Reader, work: SimpleQueue[tuple[int, Files]], done: SimpleQueue[tuple[int, Part | BaseException]]) -> None:
    while True:
        try:
            at, batch = work.get_nowait()
        except Empty:
            return
        try:
            done.put((at, _read(reader, batch)))
        except BaseException as error:
            done.put((at, error))
            return


def _read(reader: Reader, batch: Files) -> Part:
    """A file of which the reader dies is told by its name, and the others of its batch are read all the same."""
    try:
        return reader.read(batch)
    except Died:
        pass
    whole = Part()
    for module, path in batch:
        try:
            part = reader.read([(module, path)])
        except Died as death:
            part = Part(skipped=[Skipped("file", reader.project.named(path, module), str(death))], files=1)
        whole.edges += part.edges
        whole.skipped += part.skipped
        whole.files += part.files
        whole.lines += part.lines
    return whole
