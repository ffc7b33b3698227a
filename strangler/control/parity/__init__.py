"""The parallel run as the engine keeps it: samples come from the proxies through Redis, are judged, and counted per endpoint."""
