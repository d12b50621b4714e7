"""What answers one request: each engine knows nothing of retries, caches, logs or other engines."""
