"""Train left and right hemispheres, then the bilateral network on each pair: `python train_system.py --help`."""

from bilateral.original.commands import train_system

if __name__ == "__main__":
    train_system()
