"""Images and labels in columns: tables, and data sets of Hugging Face."""
