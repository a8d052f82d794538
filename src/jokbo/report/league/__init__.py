"""The league's pages: a board document in, a static site in both languages out; CSV files; a summary on a terminal."""
