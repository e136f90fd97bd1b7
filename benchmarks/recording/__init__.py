"""What faults of a recording cost."""
