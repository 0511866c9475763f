"""What a task function is: its plan, the registry that knows it, and how collections of them are loaded."""
