"""Agreement, preferences, reports: what the judgements say and what may be claimed."""
