"""What is minimised (losses, of a rollout and of every type of probe) and what is counted (metrics)."""
