"""Building blocks of networks: what a processor is, and what its equations are written with.

Read processor (the contract), neighbourhood (who sends to whom), then what is needed of the rest: layers, affine
(features that are not built) and edge_states, reductions (maximum, sum, mean, softmax), aggregators (reductions as
modules, recurrent, monoid), semiring (products over a third node), units (comparisons, hard minima), message_layer (a
step taken apart). Imports: nar.kernels. The networks themselves are in processors/, imported as nar.processors; they
import nothing of nar beyond this layer.
"""
