"""The model's part of the sparse layout: what a batch of traces on edges is, and how it is encoded and decoded.

Read batch, encoder, decoder_inputs. Weights are those of Encoder and Decoder; nothing here has parameters.
"""
