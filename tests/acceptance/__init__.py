"""The whole system on real servers, watched from outside."""
