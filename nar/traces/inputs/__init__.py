"""traces.inputs."""
