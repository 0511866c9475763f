"""What travels through Redis, as bytes: values, typed arguments, calls and outcomes.

The codec is closed: nothing that is stored can name a class or a module to import. Classes come back only where a
registered function's annotation names them.
"""
