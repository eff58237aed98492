"""Run training as a process: launch, watch, control, resume and promote."""
