"""Claims about results: findings, verdicts, and the registry of the papers that make them."""
