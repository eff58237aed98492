"""Parts of the Dataset page, one file per section."""
