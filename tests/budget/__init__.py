"""What each piece of work may ask of the server."""
