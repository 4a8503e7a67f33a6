"""What every floor shares: errors, strict config sections, whole files. Imports nothing of the project."""
