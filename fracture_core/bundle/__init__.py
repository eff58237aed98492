"""Read and write a finished model on disk."""
