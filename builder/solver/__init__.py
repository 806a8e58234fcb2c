"""Which steps are known, which must run, and in what order."""
