"""Find a network's evidence layer: the layer that heatmaps explain, and the path from it to the shown logit."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from fracture_core.explain.evidence_head import AveragedMapHead, EvidenceHead, PooledCellsHead
from fracture_core.network.graph import Graph, GraphError, Node

#: Name of the output that holds the localiser's mixing layer.
EVIDENCE = "cells_mix"


def with_evidence(graph: Graph) -> Graph:
    """Return the network with its evidence layer as a further output; unchanged if it has no localiser.

    Args:
        graph: The network.

    Returns:
        The new graph.

    Raises:
        GraphError: The description is damaged at the localiser.
    """
    return graph.with_outputs({EVIDENCE: _layer(graph)[0]}) if "cells" in graph.outputs else graph


def evidence_head(graph: Graph, weights: Mapping[str, np.ndarray]) -> EvidenceHead:
    """Return the part of a network from its evidence layer to its logit.

    Args:
        graph: The network.
        weights: Its weights, float32.

    Returns:
        The head, whose `layer` is `EVIDENCE`, or `last_map` for a network without a localiser.

    Raises:
        GraphError: The localiser is not built as any that this version knows.
    """
    if "cells" not in graph.outputs:
        return AveragedMapHead(weights["global_logit/kernel"][:, 0])
    _, split = _layer(graph)
    cells = graph.outputs["cells"]
    pool = _reader(graph, cells, "log_mean_exp_pool")
    dense = _reader(graph, pool.name, "dense")
    try:
        head = PooledCellsHead(
            kernel=weights[f"{cells}/kernel"].reshape(-1),
            share=float(weights[f"{dense.name}/kernel"].reshape(())),
            sharpness=float(pool.attributes.get("sharpness", 1.0)),
            split_kernel=weights[f"{split}/kernel"] if split else None,
            split_bias=weights[f"{split}/bias"] if split else None,
        )
    except (KeyError, ValueError, TypeError) as error:
        raise GraphError("The network description is damaged at the localiser.") from error
    if head.split_kernel is not None and head.split_kernel.shape[:3] != (2, 2, len(head.kernel)):
        raise GraphError("The network description is damaged at the localiser.")
    return head


def _layer(graph: Graph) -> tuple[str, str]:
    """Return the evidence layer's node, and the transposed convolution after it ("" if there is none)."""
    nodes = {node.name: node for node in graph.nodes}
    cells = nodes[graph.outputs["cells"]]
    try:
        active = nodes[cells.inputs[0]]
        before = nodes[active.inputs[0]]
        split = before.name if before.operation == "split_convolution" else ""
        layer = nodes[before.inputs[0]] if split else active
    except (LookupError, TypeError) as error:
        raise GraphError("The network description is damaged at the localiser.") from error
    factor = before.attributes.get("factor", 2) if split else 2
    relu = {"relu"} == {node.attributes.get("function") for node in ({active.name: active, layer.name: layer}.values())}
    if cells.operation != "convolution" or not relu or factor != 2:
        raise GraphError("The network description is damaged at the localiser.")
    return layer.name, split


def _reader(graph: Graph, name: str, operation: str) -> Node:
    """Return the only node of an operation that reads the node `name`."""
    matches = [node for node in graph.nodes if node.inputs == (name,) and node.operation == operation]
    if len(matches) != 1:
        raise GraphError("The network description is damaged at the localiser.")
    return matches[0]
