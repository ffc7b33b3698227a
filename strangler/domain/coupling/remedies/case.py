"""One crossing as the remedies see it: who leaves, who stays, and how the two are called in code."""

from __future__ import annotations

from dataclasses import dataclass

from strangler.domain.coupling.edges import Edge
from strangler.domain.coupling.reach import Reach
from strangler.domain.coupling.remedies.catalogue import Advice, Remedy, Setting

REQUEST = "request "
SAFE = ("GET", "HEAD", "OPTIONS", "TRACE")


@dataclass(frozen=True)
class Case:
    edge: Edge
    leaving: str
    reach: Reach

    @property
    def out(self) -> bool:
        """Whether it is the code that leaves, and what it knows that stays."""
        return self.leaving == self.edge.source

    @property
    def text(self) -> str:
        return " ".join(proof.text for proof in self.edge.evidence)

    @property
    def attribute(self) -> str:
        """``order`` of ``shop/payments/models.py:Payment.order``."""
        return self.edge.where.rpartition(":")[2].rpartition(".")[2]

    @property
    def labels(self) -> tuple[str, ...]:
        """Models of the target that it reaches, as far as it tells."""
        return tuple(facts.label for facts in self.reach.reached(self.edge) if facts.label)

    @property
    def contract(self) -> str:
        """``shop.orders.contract``: of the target's app that the edge names, else of its first one."""
        facts = self.reach.ledger.contexts.get(self.edge.target)
        apps = facts.apps if facts else ()
        fits = [app for app in apps if f"{self.edge.what}.".startswith(f"{app}.")]
        app = max(fits, key=len) if fits else apps[0] if apps else self.edge.target
        return f"{app}.contract"

    @property
    def seam(self) -> str:
        """The object that a contract shows: ``orders``."""
        return "".join(letter if letter.isalnum() else "_" for letter in self.edge.target).lower()

    @property
    def dotted(self) -> str:
        """``shop.orders.receivers.on_paid`` of ``shop/orders/receivers.py:on_paid``."""
        file, _, name = self.edge.where.partition(":")
        module = file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        return f"{module}.{name}" if name not in ("", "*") else module

    def advise(self, remedy: Remedy, because: str, instead: str, *settings: Setting) -> Advice:
        return Advice(self.edge, self.leaving, remedy, because, instead, settings)

    def copies(self) -> tuple[Setting, ...]:
        return tuple(Setting("read_copies", label) for label in self.labels) if self.out else ()

    def paths(self) -> tuple[str, ...]:
        """The unsafe requests that ran it, as literal prefixes: what is variable in a pattern ends it."""
        ran = [name.removeprefix(REQUEST) for proof in self.edge.evidence for name in proof.by if name.startswith(REQUEST)]
        unsafe = [path for method, _, path in (name.partition(" ") for name in ran) if method not in SAFE]
        prefixes = {"/" + path.partition("<")[0].strip("/") for path in unsafe}
        return tuple(sorted(prefixes - {"/"}))

    def held(self) -> tuple[Setting, ...]:
        """Requests of others that write what leaves, for the hold of its cut-over."""
        return tuple(Setting("also_written_by", path) for path in self.paths()) if not self.out else ()
