"""Which model an expression is of, by the source alone.

Small and linear: the last assignment counts, and what is not plain is None.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property

from strangler.analysis.static import classes as about
from strangler.analysis.static.classes import Classes
from strangler.analysis.static.paths import Paths
from strangler.analysis.static.scopes import Bound, Scopes, Value, words
from strangler.analysis.static.source import Project, Source

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
DEEPEST = 60  # expressions within expressions; deeper ones are made by machines

ONE = words("get first last latest earliest create aget afirst alast alatest aearliest acreate get_object get_by_natural_key")
PAIR = words("get_or_create update_or_create aget_or_create aupdate_or_create")
ROWS = words("values values_list dates datetimes")
NEITHER = words(
    "count exists aggregate update delete in_bulk explain contains acount aexists aaggregate aupdate adelete add aadd remove "
    "aremove set aset clear aclear as_manager contribute_to_class deconstruct items keys append extend index pop"
)
MANAGERS = frozenset(("objects", "_default_manager", "_base_manager", "all_objects"))
PASSED_ON = words("list sorted iter tuple reversed set frozenset aiter chain Paginator")
CONTAINERS = words(
    "QuerySet Manager RelatedManager ManyRelatedManager BaseManager list List Sequence Iterable Iterator Collection set Set "
    "frozenset FrozenSet tuple Tuple AsyncIterator AsyncIterable Generator _QuerySet ValuesQuerySet MutableSequence deque"
)
AROUND = words("Optional Annotated Final ClassVar Awaitable Required NotRequired")
SHORTCUTS = {"get_object_or_404": "one", "aget_object_or_404": "one", "get_list_or_404": "set", "aget_list_or_404": "set"}
HELD = {"queryset": "set", "object_list": "set", "model": "class", "object": "one", "instance": "one"}
HELD_CALLS = {"get_queryset": "set", "filter_queryset": "set", "get_object": "one", "save": "one"}


class Flow:
    """Over one module. ``scope``: the definition around, from which a name is looked up; the source's may be of an assignment."""

    def __init__(self, project: Project, source: Source, paths: Paths, classes: Classes) -> None:
        self.project, self.source, self.paths, self.classes = project, source, paths, classes
        self.scopes = Scopes()
        self.scope = ""
        self._frames: tuple[ast.AST, ...] = ()
        self.holders: dict[str, Value | None] = {}  # class → what its ``self`` is
        self.bodies: dict[str, ast.ClassDef] = {}
        self.attributes: dict[tuple[str, str], Bound] = {}  # of ``self``
        self.functions = {
            node.name: node for node in source.tree.body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        }
        self.user = next(iter(project.settings.get("AUTH_USER_MODEL", ())), "")
        self._known: dict[int, tuple[ast.AST, Value | None]] = {}
        self._depth = 0

    def arrive(self, node: ast.AST) -> None:
        """The walk is at this node."""
        if self.source.frames is not self._frames:
            self._frames = self.source.frames
            self.scope = ".".join(getattr(frame, "name", "") for frame in self._frames)
        self.scopes.arrive((getattr(node, "lineno", 0), getattr(node, "col_offset", 0)))

    def value(self, node: ast.AST | None) -> Value | None:
        read = READERS.get(type(node))
        if read is None or node is None or self._depth > DEEPEST:
            return None
        known = self._known.get(id(node))
        if known is not None:
            return known[1]
        self._depth += 1
        found = read(self, node)
        self._depth -= 1
        if isinstance(node, (ast.Call, ast.Attribute)) and found is not None:
            self._known[id(node)] = node, found
        return found

    def anew(self, node: ast.AST) -> Value | None:
        """Of an expression that is looked at with other names: nothing of it is remembered."""
        kept, self._known = self._known, {}
        found = self.value(node)
        self._known = kept
        return found

    def label(self, node: ast.AST | None) -> str:
        found = self.value(node)
        return found.labels[0] if found is not None and found.shape == "class" else ""

    def rows(self, node: ast.AST | None) -> tuple[str, ...]:
        """The models of a queryset, manager, or class."""
        found = self.value(node)
        return found.labels if found is not None and found.shape in ("set", "rows", "class") else ()

    def holder(self) -> tuple[str, str]:
        """The innermost class around the walk's place, and the part of the scope that is within it."""
        at = self.scope
        while at and at not in self.holders:
            at = at.rpartition(".")[0]
        return at, self.scope[len(at) + 1 :]

    # ---- expressions ----------------------------------------------------------------------------------------------------

    def _name(self, node: ast.Name) -> Value | None:
        bound = self.scopes.find(self.scope, node.id)
        if bound is not None:
            return bound.value
        return self._class(self.source.dotted(node))

    def _class(self, dotted: str) -> Value | None:
        label = self.classes.model(dotted)
        if label:
            return Value("class", (label,))
        return None

    def _attribute(self, node: ast.Attribute) -> Value | None:
        base = self.value(node.value)
        if base is None:
            return self._outside(node)
        if base.shape == "class":
            return self._of_class(base, node.attr)
        if base.shape in ("one", "holder"):
            return self._of_instance(base, node)
        if base.shape == "relation":
            return self._of_relation(base, node.attr)
        if base.shape in ("meta", "set") and node.attr == "model":
            return Value("class", base.labels)
        return None

    def _outside(self, node: ast.Attribute) -> Value | None:
        if node.attr == "user" and self.user and _is_request(node.value):
            return Value("one", (self.user,))
        if node.attr in self.classes.on_requests and _is_request(node.value):
            return Value("one", (self.classes.on_requests[node.attr],))
        if isinstance(node.value, ast.Name) and node.value.id == "self":
            known = self.attributes.get((self.holder()[0], node.attr))
            return known.value if known else self._own_method(node.attr, is_property=True)
        root: ast.AST = node
        while isinstance(root, ast.Attribute):
            root = root.value
        if not isinstance(root, ast.Name) or self.scopes.find(self.scope, root.id) is not None:
            return None
        return self._class(self.source.dotted(node))

    def _of_class(self, base: Value, name: str) -> Value | None:
        if name in MANAGERS or any(name in model.managers for label in base.labels if (model := self.paths.models.get(label))):
            return Value("set", base.labels)
        if name == "_meta":
            return Value("meta", base.labels)
        return self._related(base, name, "relation")

    def _of_instance(self, base: Value, node: ast.Attribute) -> Value | None:
        name = node.attr
        if base.shape == "holder" and name in HELD and base.labels:
            return Value(HELD[name], base.labels)
        if isinstance(node.value, ast.Name):
            known = self.attributes.get((self.holder()[0], name)) if node.value.id == "self" else None
            if known is not None and known.value is not None:
                return known.value
        if base.shape == "holder":
            return self._outside(node)
        if name == "_meta":
            return Value("meta", base.labels)
        if name == "__class__":
            return Value("class", base.labels)
        return self._related(base, name, "")

    def _related(self, base: Value, name: str, shape: str) -> Value | None:
        """The models at the other end. Of an instance: one row, or a manager."""
        found = [field for label in base.labels if (field := self.paths.attribute(label, name))]
        if not found:
            return None
        labels = tuple(dict.fromkeys(field.related for field in found))
        many = (
            found[0].kind.removeprefix("reverse_") not in ("foreign_key", "one_to_one") or found[0].kind == "reverse_foreign_key"
        )
        text = "__".join(filter(None, (base.text, name)))
        return Value(shape or ("set" if many else "one"), labels, text if shape else "")

    def _of_relation(self, base: Value, name: str) -> Value | None:
        if name in ("field", "rel", "remote_field", "related"):
            return base
        if name == "related_model":
            return Value("class", base.labels, base.text)
        if name == "through":
            field = base.text.rpartition("__")[2]
            through = [
                one.through
                for label in self.paths.models
                if (one := self.paths.attribute(label, field)) and one.related in base.labels and one.through
            ]
            return Value("class", tuple(dict.fromkeys(through)), base.text) if through else None
        return None

    def _call(self, node: ast.Call) -> Value | None:
        func = node.func
        if isinstance(func, ast.Attribute):
            if func.attr == "get_model":
                return self._get_model(node)
            base = self.value(func.value)
            if base is not None:
                return self._method(base, func.attr, node)
        name = func.id if isinstance(func, ast.Name) else func.attr if isinstance(func, ast.Attribute) else ""
        if name == "super":
            return self.holders.get(self.holder()[0])
        if name == "get_user_model":
            return Value("class", (self.user,)) if self.user else None
        if name == "get_model":
            return self._get_model(node)
        if name in SHORTCUTS and node.args:
            labels = self.rows(node.args[0])
            return Value(SHORTCUTS[name], labels) if labels else None
        if name in PASSED_ON and node.args:
            found = self.value(node.args[0])
            return found if found is not None and found.shape in ("set", "rows") else None
        if name == "type" and len(node.args) == 1:
            found = self.value(node.args[0])
            return Value("class", found.labels) if found is not None and found.shape == "one" else None
        made = self._outside(func) if isinstance(func, ast.Attribute) else self.value(func)
        if made is not None:
            return Value("one", made.labels) if made.shape == "class" else None
        return self._returned(self.functions.get(name), name) if isinstance(func, ast.Name) else None

    def _method(self, base: Value, name: str, node: ast.Call) -> Value | None:
        if base.shape == "holder":
            if name in HELD_CALLS and base.labels:
                return Value(HELD_CALLS[name], base.labels)
            return self._own_method(name)
        if base.shape == "meta":
            fields = [arg.value for arg in node.args[:1] if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
            return self._related(base, fields[0], "relation") if name == "get_field" and fields else None
        if base.shape == "map":
            return Value("set" if name == "values" else "one", base.labels) if name in ("values", "get", "pop") else None
        if base.shape not in ("set", "rows"):
            return None
        if name in ("in_bulk", "ain_bulk"):
            return Value("map", base.labels)
        if name in ONE:
            return Value("one", base.labels) if base.shape == "set" else None
        if name in PAIR:
            return Value("pair", base.labels)
        if name in NEITHER or name.startswith("__"):
            return None
        return Value("rows", base.labels) if name in ROWS else base

    def _own_method(self, name: str, is_property: bool = False) -> Value | None:
        at = self.holder()[0]
        body = self.bodies[at].body if at in self.bodies else []
        found = next((one for one in body if isinstance(one, FUNCTIONS) and one.name == name), None)
        if found is not None and is_property != any("property" in ast.unparse(each) for each in found.decorator_list):
            return None
        return self._returned(found, f"{at}.{name}")

    def _returned(self, function: ast.FunctionDef | ast.AsyncFunctionDef | None, scope: str) -> Value | None:
        """By its annotation, or by what all of its returns agree on."""
        if function is None or self._depth > 3:
            return None
        if function.returns is not None:
            return self.annotated(function.returns)
        here, self.scope = self.scope, scope
        returns = [one.value for one in ast.walk(function) if isinstance(one, ast.Return) and one.value is not None]
        found = {self.anew(value) for value in returns}
        self.scope = here
        return found.pop() if len(found) == 1 else None

    def _get_model(self, node: ast.Call) -> Value | None:
        given = [*node.args, *(each.value for each in node.keywords if each.arg in ("app_label", "model_name"))]
        words = [text for arg in given if (text := self.text(arg))]
        label = ".".join(words[:2])
        if "." not in label:
            return None
        known = label if label in self.paths.models else self._in_any_case(label)
        return Value("class", (known,)) if known else None

    def labelled(self, node: ast.AST) -> str:
        """The label of a model that a string names."""
        text = self.text(node)
        return self._in_any_case(text) if "." in text else ""

    def _in_any_case(self, label: str) -> str:
        return next((one for one in self.paths.models if one.lower() == label.lower()), "")

    def text(self, node: ast.AST) -> str:
        """Of a literal, or of a name that stands for one."""
        if isinstance(node, ast.Constant):
            return node.value if isinstance(node.value, str) else ""
        if isinstance(node, ast.Name):
            bound = self.scopes.find(self.scope, node.id)
            if bound is not None and len(bound.nodes) == 1 and isinstance(bound.nodes[0], ast.Constant):
                return self.text(bound.nodes[0])
        return ""

    def _first(self, *nodes: ast.AST) -> Value | None:
        return next((found for node in nodes if (found := self.value(node)) is not None), None)

    def _listed(self, node: ast.List | ast.Tuple) -> Value | None:
        found = self.value(node.elts[0]) if node.elts else None
        return Value("set", found.labels) if found is not None and found.shape == "one" else None

    def _subscript(self, node: ast.Subscript) -> Value | None:
        base = self.value(node.value)
        if base is None or base.shape not in ("set", "rows", "pair", "map"):
            return None
        if isinstance(node.slice, ast.Slice):
            return base
        return Value("one", base.labels) if base.shape != "rows" else None

    def _comprehension(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp) -> Value | None:
        names = {}
        for generator in node.generators:
            if isinstance(generator.target, ast.Name):
                row = self.row(generator.iter)
                names[generator.target.id] = row
        if isinstance(node.elt, ast.Name):
            found = names.get(node.elt.id)
            return Value("set", found.labels) if found is not None and found.shape == "one" else None
        return None

    def _mapping(self, node: ast.DictComp) -> Value | None:
        for generator in node.generators:
            if (
                isinstance(generator.target, ast.Name)
                and isinstance(node.value, ast.Name)
                and generator.target.id == node.value.id
            ):
                row = self.row(generator.iter)
                return Value("map", row.labels) if row is not None else None
        return None

    def row(self, iterated: ast.AST) -> Value | None:
        """What a loop over it gives."""
        found = self.value(iterated)
        return Value("one", found.labels) if found is not None and found.shape == "set" else None

    # ---- annotations ----------------------------------------------------------------------------------------------------

    def annotated(self, node: ast.AST | None, shape: str = "one") -> Value | None:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            try:
                return self.annotated(ast.parse(node.value, mode="eval").body, shape)
            except (SyntaxError, ValueError, RecursionError, MemoryError):
                return None
        if isinstance(node, ast.BinOp):
            return self.annotated(node.left, shape) or self.annotated(node.right, shape)
        if isinstance(node, ast.Subscript):
            inner = node.slice.elts[0] if isinstance(node.slice, ast.Tuple) and node.slice.elts else node.slice
            name = self.source.dotted(node.value).rpartition(".")[2]
            if name in ("type", "Type"):
                return self.annotated(inner, "class")
            if name in AROUND or name in CONTAINERS:
                return self.annotated(inner, shape if name in AROUND else "set")
            return None
        dotted = self.source.dotted(node) if isinstance(node, (ast.Name, ast.Attribute)) else ""
        label = self.classes.model(dotted) if dotted else ""
        if label:
            return Value(shape, (label,))
        labels = self.classes.managers.get(dotted)
        return Value("set", labels) if labels else None

    # ---- classes --------------------------------------------------------------------------------------------------------

    def open_class(self, node: ast.ClassDef, local: Mapping[str, tuple[str, ...]], registered: about.Registered) -> None:
        outer = self.scope
        name = f"{outer}.{node.name}" if outer else node.name
        self.scopes.classes.add(name)
        self.scopes.start(name)
        self.bodies[name] = node
        if node.name == "Meta" and outer in self.holders:
            around = self.holders[outer]
            self.holders[name] = Value("holder", around.labels) if around else None
            return
        self.holders[name] = None
        self.holders[name] = self._held(node, name, local, registered)

    def _held(
        self, node: ast.ClassDef, name: str, local: Mapping[str, tuple[str, ...]], registered: about.Registered
    ) -> Value | None:
        made = self.classes.made_of(f"{self.source.module}.{name}")
        if made:
            return Value("one", made)
        labels = self.classes.managers.get(f"{self.source.module}.{name}") or local.get(node.name) or self._by_its_name(node)
        if labels:
            return Value("set", labels)
        labels = self._said(node, registered)
        if labels:
            return Value("holder", labels)
        for other in (about.serializer(node), *(base.id for base in node.bases if isinstance(base, ast.Name))):
            inherited = self.holders.get(other)
            if inherited is not None and (inherited.labels or inherited.shape != "holder"):
                return inherited
        mixed_in = (label for heir in self._heirs.get(name, ()) for label in self._said(heir, registered))
        return Value("holder", tuple(dict.fromkeys(mixed_in)))

    def _said(self, node: ast.ClassDef, registered: about.Registered) -> tuple[str, ...]:
        """Of the first statement that names models."""
        for expression in self._statements(node, registered):
            label = self.labelled(expression)
            named = Value("class", (label,)) if label else None
            found = self.anew(expression) or named or self.annotated(expression, "class")
            if found is not None and found.shape in ("class", "set", "rows", "one"):
                return found.labels
        return ()

    @cached_property
    def _heirs(self) -> dict[str, list[ast.ClassDef]]:
        """A mixin is about what the module's classes are about that it is mixed into."""
        found: dict[str, list[ast.ClassDef]] = {}
        for node in self.source.tree.body:
            for base in node.bases if isinstance(node, ast.ClassDef) else ():
                if isinstance(base, ast.Name) and isinstance(node, ast.ClassDef):
                    found.setdefault(base.id, []).append(node)
        return found

    def _by_its_name(self, node: ast.ClassDef) -> tuple[str, ...]:
        """``OrderQuerySet``, that no model has yet or that is put together at run time: of the context's ``Order``."""
        name = about.QUERYING.sub("", node.name)
        atlas, context = self.project.atlas, self.source.context
        if name == node.name or not node.bases:
            return ()
        labels = (label for label in sorted(self.paths.models) if label.partition(".")[2] == name)
        return tuple(label for label in labels if atlas.of_model(label) == context)

    def _statements(self, node: ast.ClassDef, registered: about.Registered) -> Iterator[ast.expr]:
        yield from about.of_decorator(node)
        yield from about.said(node)
        if node.name in registered.models:
            yield registered.models[node.name]


def _is_request(node: ast.AST) -> bool:
    return (isinstance(node, ast.Name) and node.id == "request") or (isinstance(node, ast.Attribute) and node.attr == "request")


READERS: dict[type | None, Callable[..., Value | None]] = {
    ast.Name: Flow._name,
    ast.Attribute: Flow._attribute,
    ast.Call: Flow._call,
    ast.Subscript: Flow._subscript,
    ast.ListComp: Flow._comprehension,
    ast.SetComp: Flow._comprehension,
    ast.GeneratorExp: Flow._comprehension,
    ast.DictComp: Flow._mapping,
    ast.BinOp: lambda flow, node: flow._first(node.left, node.right),
    ast.BoolOp: lambda flow, node: flow._first(*node.values),
    ast.IfExp: lambda flow, node: flow._first(node.body, node.orelse),
    ast.NamedExpr: lambda flow, node: flow.value(node.value),
    ast.Await: lambda flow, node: flow.value(node.value),
    ast.Starred: lambda flow, node: flow.value(node.value),
    ast.List: lambda flow, node: flow._listed(node),
    ast.Tuple: lambda flow, node: flow._listed(node),
}
