"""All that concerns the original code (Cerenaut's bilateral-brain): its commands, config keys and checkpoint files."""
