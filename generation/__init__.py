"""Corpora, systems and the replies that workers write."""
