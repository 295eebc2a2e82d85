"""The risk report: what is open, what it scores, what was proved, accepted and closed."""
