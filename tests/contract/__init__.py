"""What every gateway promises, against a sandbox that responds over a real socket."""
