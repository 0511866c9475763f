"""What anybody may write into the server or on a command line: it ends where it came in, and harms nothing beside it."""
