"""What every gateway promises, against a sandbox that answers over a real socket."""
