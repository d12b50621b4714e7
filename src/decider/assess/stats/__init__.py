"""What a dataset holds, counted in one pass: `values` is what is known, `measure` counts it, `picture` shows it."""
