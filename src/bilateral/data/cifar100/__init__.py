"""CIFAR-100: its official files, found, read without unpickling, fetched; and prepared as folders of images."""
