"""A password that tests use where one is needed: a test in whose output it appears fails."""

CANARY = "c4nary-p4ssw0rd"
