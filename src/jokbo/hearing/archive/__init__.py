"""The archive: a hearing as a static site that needs no server, and its verification offline."""
