"""Reports: what an evidence document says, in words and pictures, in English and Korean.

Everything is rendered from the evidence document alone, so evidence written years ago can
be shown again. No number is computed here that the document does not hold.
"""
