"""Using a trained model: scoring, orders of new text, and how sure they are."""
