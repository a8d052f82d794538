"""Where checkpoint bytes come from: disk, hub, HTTP, cloud storage, memory; and the cache between."""
