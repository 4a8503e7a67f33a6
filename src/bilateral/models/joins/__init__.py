"""Joins: what the heads get of the hemispheres' features. A new one is one file here and one line in JOINS."""

from ...base.registry import Registry

JOINS = Registry(
    "join",
    {
        "concat": "bilateral.models.joins.concatenation:Concatenation",
        "confidence": "bilateral.models.joins.confidence:Confidence",
        "gate": "bilateral.models.joins.gate:Gate",
        "novelty": "bilateral.models.joins.novelty:Novelty",
        "sum": "bilateral.models.joins.sum:Sum",
    },
)
