"""What is planted into real rows for a lint to find, and rows that are made from real ones."""
