"""Build the Keras networks, their weights and the framework-free graph description."""
