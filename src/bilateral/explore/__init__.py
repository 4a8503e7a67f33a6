"""A page in the browser where a person shows a trained network pictures, and silences its hemispheres."""
