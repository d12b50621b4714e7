"""What makes a model: scikit-learn fits it, and `decider.model` is it at answer time."""
