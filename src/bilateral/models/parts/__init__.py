"""Parts: what changes the values of one hemisphere at one place. A new one is one file here and one line in PARTS."""

from ...base.registry import Registry

PARTS = Registry(
    "part",
    {
        "dropout": "bilateral.models.parts.dropout:Dropout",
        "kwta": "bilateral.models.parts.kwta:KWinnersTakeAll",
        "noise": "bilateral.models.parts.noise:Noise",
    },
)
