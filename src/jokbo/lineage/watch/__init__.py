"""Watch what an organisation publishes: each new revision is fingerprinted, registered and compared.

One process, one request at a time. What was learned is on disk after every repository, so a run that was stopped
goes on where it was; a hub that says how often it may be asked is asked no more often.
"""

from __future__ import annotations
