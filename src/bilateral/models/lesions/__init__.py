"""Lesions: damage in evaluation, or from an epoch on. A new kind is one file here and one line in LESIONS."""

from ...base.registry import Registry

LESIONS = Registry(
    "lesion",
    {
        "noise": "bilateral.models.lesions.noise:Noise",
        "silence": "bilateral.models.lesions.silence:Silence",
        "units": "bilateral.models.lesions.units:Units",
    },
)
