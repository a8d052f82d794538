"""Public verifications: claims, and what is held against them."""
