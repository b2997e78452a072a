"""What the package promises about speed and memory, measured: `python -m bench`.

A core is one file with a function `run(settings, tell) -> Report`, and one line in `bench/__main__.py`.
"""
