"""A proposal as lines for ``strangler.toml``, after what a person wrote there: nothing of that is changed."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Collection

from strangler.domain.coupling.proposal import Cluster, Proposal


def additions(text: str, proposed: Proposal) -> str:
    """What to append to the file that holds ``text``: contexts whose apps none declares yet. Empty when there is nothing to add,
    so a second time adds nothing. Raises ``ValueError`` where ``text`` is no TOML.
    """
    try:
        declared = tomllib.loads(text).get("contexts", {})
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"strangler.toml is no TOML: {error}. Mend it first; nothing was written") from None
    tables = [table for table in declared.values() if isinstance(table, dict)]
    taken = {app for table in tables for app in table.get("apps", []) if isinstance(app, str)}
    blocks = [block for cluster in proposed.clusters for block in _block(cluster, taken, declared)]
    start = "" if not text or text.endswith("\n\n") else "\n" if text.endswith("\n") else "\n\n"
    return start + "\n\n".join(blocks) + "\n" if blocks else ""


def _block(cluster: Cluster, taken: Collection[str], names: Collection[str]) -> list[str]:
    apps = [app for app in cluster.apps if app not in taken]
    if not apps and (cluster.apps or not cluster.models):
        return []
    name = cluster.name
    while name in names:
        name = f"{name}_new"
    said = [f"# proposed: {cluster.because}"]
    said += [f"#   cut: {tie.one} and {tie.other}, {tie.words}" for tie in cluster.cut]
    if cluster.models:
        said.append(f"# Models of other apps belong here; give them an app of its own first: {', '.join(cluster.models)}")
    lines = [f"[contexts.{name}]", f"apps = [{', '.join(map(json.dumps, apps))}]"]
    return ["\n".join([*said, *(lines if apps else (f"# {line}" for line in lines))])]
