"""How well a reasoner does on fixed sets of traces, of the training sizes and beyond.

Read evaluate (the rollout against the traces), then protocol (the sizes on which one trains, chooses and tests) and
axes (graph family, density, weights, scale: the other ways to leave the training distribution). Imports: nar.model.
"""
