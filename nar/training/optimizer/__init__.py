"""What changes the parameters: schedule (the step size), adam (the default), chosen (any other), average (of them)."""
