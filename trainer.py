"""Train, validate and test one network for every seed: `python trainer.py [--config FILE]`."""

from bilateral.original.commands import trainer

if __name__ == "__main__":
    trainer()
