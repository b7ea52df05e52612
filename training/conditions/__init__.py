"""Test audio in the conditions of a home: made from clips, speech and noise, and measured."""
