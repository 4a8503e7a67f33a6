"""Bridges: what two hemispheres tell each other. A new one is one file here and one line in BRIDGES."""

from ...base.registry import Registry

BRIDGES = Registry(
    "bridge",
    {
        "additive": "bilateral.models.bridges.additive:Additive",
        "attention": "bilateral.models.bridges.attention:Attention",
        "gated": "bilateral.models.bridges.gated:Gated",
    },
)
