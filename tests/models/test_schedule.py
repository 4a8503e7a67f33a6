"""Settings that change over the epochs, and the components that have them."""

from typing import Annotated

import pytest
import torch
from pydantic import ValidationError

from bilateral.base.section import Section
from bilateral.models.build import build_network
from bilateral.models.config import ModelConfig
from bilateral.models.parts.gain import Gain
from bilateral.models.schedule import Schedule, Varying, between, is_schedule

RISING = {"start": 1.0, "end": 3.0, "epochs": 3}


class Options(Section):
    share: Annotated[Varying, between(0, 1)]
    strength: Annotated[Varying, between(0, above=True)] = 1.0


def test_a_setting_is_a_number_or_a_schedule():
    assert Options(share=0.5).share == 0.5
    assert Options(share={"start": 0.0, "end": 1.0, "epochs": 2}).share.at(1) == 1.0


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"share": 1.5}, "at least 0 and at most 1"),
        ({"share": {"start": 0.0, "end": 1.5, "epochs": 2}}, "at least 0 and at most 1"),
        ({"share": 0.5, "strength": 0.0}, "greater than 0"),
        ({"share": {"start": 0.0, "end": 1.0, "epochs": 1}}, "greater than or equal to 2"),
        ({"share": {"start": 0.0, "end": 1.0, "epoch": 3}}, "epoch"),
        ({"share": "half"}, "valid number"),
    ],
)
def test_what_is_neither_is_refused(given, message):
    with pytest.raises(ValidationError, match=message):
        Options(**given)


def test_a_dict_with_epochs_among_options_of_ones_own_is_no_schedule():
    memory = {"epochs": 99, "size": 3}
    assert is_schedule(RISING) and not any(map(is_schedule, (memory, {**RISING, "size": 3}, {"epochs": 3}, 2.0)))
    part = {"kind": "my_kinds:Memory", "after": "pool", "memory": memory, "rate": RISING}
    assert ModelConfig(left={"parts": {"own": part}}).schedules == {"left.parts.own.rate.epochs": 3}


def test_a_component_follows_its_schedule_and_keeps_the_epoch_with_its_weights():
    gain = Gain(Gain.Options(factor=RISING), torch.Size([2]))
    ones = torch.ones(1, 2)
    found = []
    for epoch in range(4):
        gain.epoch.fill_(epoch)
        found.append(gain(ones).mean().item())
    assert found == [1.0, 2.0, 3.0, 3.0]
    again = Gain(gain.options, torch.Size([2]))
    again.load_state_dict(gain.state_dict())
    assert again.eval()(ones).mean() == 3.0


def test_what_has_no_schedule_keeps_no_epoch():
    gain = Gain(Gain.Options(factor=2.0), torch.Size([2]))
    assert not gain.changes and not gain.state_dict()
    assert Schedule(**RISING).at(0) == 1.0


def test_features_that_a_schedule_changes_are_not_kept():
    frozen = {"width": 1 / 16, "freeze": True}

    def fixed(factor):
        parts = {"gain": {"after": "pool", "factor": factor}}
        return build_network(ModelConfig(left={**frozen, "parts": parts}, right=frozen), 4, 2).fixed_until_join

    assert fixed(2.0)
    assert not fixed(RISING)
