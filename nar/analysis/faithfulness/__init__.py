"""Does a reasoner execute the algorithm? outside compares its hints, inside looks at messages and hidden states.

report puts both together for `nar faithfulness`, beside untrained, shuffled and exact networks.
"""
