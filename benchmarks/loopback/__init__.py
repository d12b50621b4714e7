"""What benchmarks share: an endpoint on loopback that misbehaves as told, the job, and how figures are printed."""
