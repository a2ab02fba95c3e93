"""Development tooling behind `dev.py`: the embedded stack, the demo, the test run.

Never shipped, and never imported by the application.
"""
