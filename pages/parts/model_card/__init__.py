"""Parts of the Model card page."""
