"""nar: neural algorithmic reasoning on graphs in PyTorch."""
