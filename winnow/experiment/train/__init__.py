"""What is missing of a plan, trained by one-thread workers."""
