"""Views: components of a model, and rows fetched on demand."""
