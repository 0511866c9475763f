"""The chaos suite: real workers on a real server, faults on purpose, and a checker that says what came of it."""
