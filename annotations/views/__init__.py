"""The annotator's pages: joining a study, and rating."""
