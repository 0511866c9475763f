"""`--hypothesis-profile thorough` tries two hundred times as many."""

from hypothesis import settings

settings.register_profile("thorough", max_examples=20_000)
