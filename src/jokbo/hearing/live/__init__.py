"""The live page of a hearing: one process that shows a case, takes entries in, and tells readers what is new."""
