"""Runs Rasa's prediction graph node by node; dask's scheduler took 45 % of a turn.

Rasa runs its graph, a handful of functions that call each other's results, through dask, which
plans it anew, and on threads, at each prediction. The plan depends only on the targets, so it is
made once per set of targets here and then executed in order.
"""

from __future__ import annotations

from typing import Any

from rasa.engine.exceptions import GraphRunError
from rasa.engine.graph import ExecutionContext, GraphNode, GraphNodeHook, GraphSchema
from rasa.engine.runner.interface import GraphRunner
from rasa.engine.storage.storage import ModelStorage

Step = tuple[str, GraphNode, tuple[str, ...]]


class OrderedGraphRunner(GraphRunner):
    """A GraphRunner that executes nodes one after the other in topological order."""

    def __init__(self, schema: GraphSchema, nodes: dict[str, GraphNode]) -> None:
        self._schema = schema
        self._nodes = nodes
        self._plans: dict[tuple[str, ...], list[Step]] = {}

    @classmethod
    def create(
        cls,
        graph_schema: GraphSchema,
        model_storage: ModelStorage,
        execution_context: ExecutionContext,
        hooks: list[GraphNodeHook] | None = None,
    ) -> OrderedGraphRunner:
        """Instantiate every node, as the interface asks."""
        nodes = {
            name: GraphNode.from_schema_node(name, node, model_storage, execution_context, hooks)
            for name, node in graph_schema.nodes.items()
        }
        return cls(graph_schema, nodes)

    def run(
        self, inputs: dict[str, Any] | None = None, targets: list[str] | None = None
    ) -> dict[str, Any]:
        """Run what the targets need. Raises GraphRunError when an input clashes with a node."""
        wanted = tuple(targets) if targets else tuple(self._schema.target_names)
        plan = self._plans.get(wanted)
        if plan is None:
            plan = self._plans[wanted] = self._plan(wanted)
        results: dict[str, Any] = {}
        for name, value in (inputs or {}).items():
            if isinstance(value, str) and value in self._nodes:
                raise GraphRunError(f"the input {name} has the name of a node as its value")
            results[name] = (name, value)
        for name, node, needs in plan:
            # Like dask, pass the bare name of what nothing provides: the node then says so.
            results[name] = node(*[results.get(need, need) for need in needs])
        return {name: results[name][1] for name in wanted}

    def components(self) -> list[Any]:
        """The instantiated component of every node."""
        return [node._component for node in self._nodes.values()]

    def _plan(self, targets: tuple[str, ...]) -> list[Step]:
        plan: list[Step] = []
        placed: set[str] = set()

        def place(name: str) -> None:
            if name in placed or name not in self._nodes:
                return
            placed.add(name)
            needs = tuple(self._schema.nodes[name].needs.values())
            for need in needs:
                place(need)
            plan.append((name, self._nodes[name], needs))

        for target in targets:
            place(target)
        return plan
