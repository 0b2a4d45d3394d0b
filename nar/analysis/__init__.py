"""Questions to a network beyond its score.

contract/, algorithm_contract/: does a processor, does an algorithm keep its contract (`nar check`)? faithfulness/:
does a reasoner execute the algorithm, or does it only arrive at its answers (`nar faithfulness`)? references/:
reasoners whose weights are written down and exact. asynchrony: does the result depend on the order in which messages
arrive?
"""
