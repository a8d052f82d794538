"""Pages of a hearing: what they say (contexts) and how they look (templates), for the archive and the live page."""
