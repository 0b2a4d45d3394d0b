"""What is minimised (losses, of a rollout and of every type of probe; auxiliary: of simpler tasks besides) and what is
counted (metrics)."""
