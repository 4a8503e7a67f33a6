"""Lesions: damage in evaluation. A new kind is one file here and one line in LESIONS."""

from ...base.registry import Registry

LESIONS = Registry(
    "lesion",
    {
        "silence": "bilateral.models.lesions.silence:Silence",
        "units": "bilateral.models.lesions.units:Units",
    },
)
