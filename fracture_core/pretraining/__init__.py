"""Pre-train a network in PyTorch (optional extra)."""
