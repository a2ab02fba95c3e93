"""Simulates Stripe's API, version 2026-10-28.endive, as test mode behaves.

Sources, by the tags in the docstrings: [docs] docs.stripe.com · [sdk] the official Python package stripe 16.1.0, whose
annotations give parameters and fields · [spec] github.com/stripe/openapi with its sample objects · [run] recorded runs
against test mode, github.com/gburgyan/aat-stripe, September 2026. A fact marked "unverified" is in no source that could
be read; the sandbox then does what is most plausible.
"""

API_VERSION = "2026-10-28.endive"
