"""Parts: what changes the values of one hemisphere at one place. A new one is one file here and one line in PARTS."""

from ...base.registry import Registry

PARTS = Registry(
    "part",
    {
        "dropout": "bilateral.models.parts.dropout:Dropout",
        "filter": "bilateral.models.parts.filter:Filter",
        "gain": "bilateral.models.parts.gain:Gain",
        "kwta": "bilateral.models.parts.kwta:KWinnersTakeAll",
        "noise": "bilateral.models.parts.noise:Noise",
    },
)
