"""The development tools behind `dev.py`: a complete local system, the demo, the random operations and the test run.

Not in the wheel; the application never imports them. They use the application from outside: command lines,
environment variables and HTTP paths.
"""
