"""A worker process that dies as soon as it is given something; it loads no PyTorch, so that many cost little."""

import os


def serve(pipe):
    pipe.recv_bytes()
    os._exit(3)
