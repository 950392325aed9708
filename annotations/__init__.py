"""Campaigns, their items and annotators, and the pages where replies are rated."""
