"""Whether measurements agree with what is known."""
