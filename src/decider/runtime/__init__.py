"""What surrounds one step that goes to an endpoint."""
