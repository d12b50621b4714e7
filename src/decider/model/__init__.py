"""A trained model at answer time: numpy alone, and no code that trains."""
